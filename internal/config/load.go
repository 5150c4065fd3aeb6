// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds what is read: 255 instances of 1000 VIPs each are some 5 MiB.
const maxFile = 32 << 20

// Load reads the file at path. Its error is of type [Errors].
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, Errors{{File: path, Text: "cannot be read: " + reason(err), Mend: mendRead(err), Err: err}}
	}
	return Parse(path, data)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("more than %d MiB", maxFile>>20)
	}
	return data, err
}

// reason leaves out of a file error what the reader knows already: operation and path.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

func mendRead(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create it, or name another with --config"
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or make it readable"
	}
	return "name a regular file with --config"
}

// Parse reads a configuration; name stands for the file in its errors and
// places. The error is of type [Errors] and has every problem there is.
func Parse(name string, data []byte) (*Config, error) {
	root, syntax := parseTree(name, data)
	if syntax != nil {
		return nil, Errors{syntax}
	}
	if root.Kind != yaml.MappingNode {
		return nil, Errors{{
			File: name, Line: max(1, root.Line), Text: "is no configuration: the outermost level has no keys",
			Mend: "write keys with values, such as interface: eth0",
		}}
	}
	d := &decoder{file: name, places: Places{}}
	d.note("", 1)
	c, _ := section(configFields()).read(d, "", root)
	c.Places = d.places
	d.fillIn(&c)
	d.validate(&c)
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	for i := range c.Instances {
		c.Instances[i].addLinkLocal()
	}
	return &c, nil
}
