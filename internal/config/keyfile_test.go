// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestKeyRoundTrip(t *testing.T) {
	line, err := NewKey(bytes.NewReader(bytes.Repeat([]byte{0xfb}, KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	path := writeKeys(t, line+"\n", 0o600)
	keys, err := ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 || !bytes.Equal(keys[0], bytes.Repeat([]byte{0xfb}, KeySize)) {
		t.Errorf("read %x", keys)
	}
}

func TestNewKeyWithoutRandomness(t *testing.T) {
	if key, err := NewKey(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) || key != "" {
		t.Errorf("key %q, error %v", key, err)
	}
	if key, err := NewKey(strings.NewReader("too short")); err == nil {
		t.Errorf("key %q from nine bytes", key)
	}
}

func TestReadKeys(t *testing.T) {
	first, second := newKey(t), newKey(t)
	tests := []struct {
		name, text string
		mode       fs.FileMode
		keys       int
		want       string // the error, without the path
	}{
		{"one", first + "\n", 0o600, 1, ""},
		{"two and comments", "# new\n" + first + "\n\n# old\n  " + second, 0o400, 2, ""},
		{"group can read", first, 0o640, 0, ": key file has mode 0640: others than its owner can use it; chmod 600 PATH"},
		{"world can read", first, 0o604, 0, ": key file has mode 0604: others than its owner can use it; chmod 600 PATH"},
		{"empty", "# none\n", 0o600, 0, ":1: key file has no key; make one: (umask 077; hafast keygen > PATH)"},
		{"short key", "# a\nAAAA\n", 0o600, 0, ":2: is no key; write 32 bytes in base64, as hafast keygen prints them"},
		{"not base64", first + "\nhello world\n", 0o600, 0, ":2: is no key; write 32 bytes in base64, as hafast keygen prints them"},
		{"three", first + "\n" + second + "\n" + newKey(t), 0o600, 0, ":3: a third key; keep two: the new one first, then the old one"},
		{"one twice", first + "\n" + first, 0o600, 0, ":1: both keys are the same; take one out"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := writeKeys(t, test.text, test.mode)
			keys, err := ReadKeys(path)
			if len(keys) != test.keys {
				t.Errorf("%d keys, want %d", len(keys), test.keys)
			}
			got := ""
			if err != nil {
				got = strings.ReplaceAll(strings.TrimPrefix(err.Error(), path), path, "PATH")
			}
			if got != test.want {
				t.Errorf("error\n got %s\nwant %s", got, test.want)
			}
			if err != nil && strings.Contains(err.Error(), first) {
				t.Error("the error shows a key")
			}
		})
	}
}

func TestReadKeysMissing(t *testing.T) {
	_, err := ReadKeys(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist inside", err)
	}
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeKeys(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sync.key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
