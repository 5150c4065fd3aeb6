// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"embed"
	"fmt"
	"os"
	"text/template"
)

// templateFiles are the configurations of what runs in the lab.
//
//go:embed templates
var templateFiles embed.FS

// render fills in an embedded template and writes it to path.
func render(path, name string, values any) error {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templateFiles, "templates/"+name)
	if err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := t.Execute(f, values); err != nil {
		_ = f.Close()
		return fmt.Errorf("template %s: %w", name, err)
	}
	return f.Close()
}
