// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
)

const (
	// KeySize is the length of a sync key in bytes: AES-256.
	KeySize = 32
	// maxKeys are live at a time: the one that sends and, during a rotation, one more.
	maxKeys = 2
	// maxKeyFile bounds what is read of a key file, comments included.
	maxKeyFile = 64 << 10
)

// NewKey draws a key from rand and returns it as a line for a key file. It fails
// only where rand does.
func NewKey(rand io.Reader) (string, error) {
	var key [KeySize]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return "", fmt.Errorf("draw key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(key[:]), nil
}

// ReadKeys returns the one or two keys of a file, [KeySize] bytes each. A file has
// a key in base64 per line; empty lines and lines that start with # are passed
// over. The first key seals what is sent, both open what is received, so that
// hosts can change keys one after another. The error is of type [Errors].
//
// A file that others than its owner can read is refused: its key is no secret.
func ReadKeys(path string) ([][]byte, error) {
	problem := func(line int, text, mend string, err error) error {
		return Errors{{File: path, Line: line, Text: text, Mend: mend, Err: err}}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, problem(0, "key file cannot be read: "+reason(err), "make one: (umask 077; hafast keygen > "+path+")", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, problem(0, "key file cannot be read: "+reason(err), "", err)
	}
	if !info.Mode().IsRegular() {
		return nil, problem(0, "key file is no regular file", "name a file that hafast keygen has written", nil)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, problem(0, fmt.Sprintf("key file has mode %04o: others than its owner can use it", mode), "chmod 600 "+path, nil)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, problem(0, "key file cannot be read: "+reason(err), "", err)
	}
	var keys [][]byte
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		// The line stays out of the message: it may be a key with a typing error.
		key, err := base64.StdEncoding.AppendDecode(nil, line)
		if err != nil || len(key) != KeySize {
			return nil, problem(i+1, "is no key", fmt.Sprintf("write %d bytes in base64, as hafast keygen prints them", KeySize), nil)
		}
		if len(keys) == maxKeys {
			return nil, problem(i+1, "a third key", "keep two: the new one first, then the old one", nil)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, problem(1, "key file has no key", "make one: (umask 077; hafast keygen > "+path+")", nil)
	}
	if len(keys) == maxKeys && bytes.Equal(keys[0], keys[1]) {
		return nil, problem(1, "both keys are the same", "take one out", nil)
	}
	return keys, nil
}
