// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	defaultMirror   = "http://deb.debian.org/debian"
	defaultSecurity = "http://deb.debian.org/debian-security"
	keyring         = "/usr/share/keyrings/debian-archive-keyring.gpg"

	// listsAge is for how long package lists are taken as they are: a kernel of
	// yesterday tests as well, and a run that fetches nothing needs no network.
	listsAge = 24 * time.Hour
)

// Mirrors are the archives that packages come from.
type Mirrors struct {
	Main, Security string
}

// HostMirrors are those that the host's own apt uses for Debian, and Debian's own
// where it has none.
func HostMirrors(ctx context.Context) Mirrors {
	m := Mirrors{Main: defaultMirror, Security: defaultSecurity}
	out, err := command{}.output(ctx, "apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Origin: Debian", "Created-By: Packages")
	if err != nil {
		return m
	}
	for line := range strings.Lines(out) {
		label, uri, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch uri = strings.TrimSuffix(uri, "/"); {
		case !strings.HasPrefix(uri, "http"): // a CD, or a directory: has no other suites
		case label == "Debian":
			m.Main = uri
		case label == "Debian-Security":
			m.Security = uri
		}
	}
	return m
}

// apt is Debian's package manager with lists, sources and a cache of its own: what
// the host has configured and installed is neither read nor changed.
type apt struct {
	dir     string
	sources []string
}

func newApt(dir string, suites []Suite, mirrors Mirrors) apt {
	a := apt{dir: dir}
	for _, s := range suites {
		uri := mirrors.Main
		if s.Security {
			uri = mirrors.Security
		}
		a.sources = append(a.sources, fmt.Sprintf("deb [signed-by=%s] %s %s main", keyring, uri, s.Name))
	}
	return a
}

func (a apt) path(elem ...string) string {
	return filepath.Join(append([]string{a.dir}, elem...)...)
}

// options are the same for all programs of apt. Nothing is asked of the host's
// package state: an empty status file stands for a host without packages.
func (a apt) options() []string {
	return []string{
		"-qq",
		"-o", "Dir::State=" + a.dir,
		"-o", "Dir::State::Lists=" + a.path("lists"),
		"-o", "Dir::State::Status=" + a.path("status"),
		"-o", "Dir::Cache=" + a.path("cache"),
		"-o", "Dir::Etc::SourceList=" + a.path("sources.list"),
		"-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::Etc::Preferences=/dev/null",
		"-o", "Dir::Etc::PreferencesParts=/dev/null",
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Architectures=amd64",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::Retries=3",
		"-o", "APT::Sandbox::User=", // the lists may be in a home that another user cannot enter
	}
}

// update fetches package lists that are older than listsAge.
func (a apt) update(ctx context.Context) error {
	sources := strings.Join(a.sources, "\n") + "\n"
	stamp := a.path("updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < listsAge {
		if had, err := os.ReadFile(stamp); err == nil && string(had) == sources {
			return nil
		}
	}
	for _, dir := range []string{a.path("lists", "partial"), a.path("cache", "archives", "partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make room for package lists: %w", err)
		}
	}
	for name, content := range map[string]string{"sources.list": sources, "status": ""} {
		if err := os.WriteFile(a.path(name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("set apt up: %w", err)
		}
	}
	// Without this apt-get exits with 0 although a list could not be fetched.
	args := append(a.options(), "-o", "APT::Update::Error-Mode=any", "update")
	if err := (command{}).run(ctx, "apt-get", args...); err != nil {
		return fmt.Errorf("fetch package lists: %w", err)
	}
	if err := os.WriteFile(stamp, []byte(sources), 0o644); err != nil {
		return fmt.Errorf("note that package lists are new: %w", err)
	}
	return nil
}

// names lists the packages whose names start with a prefix.
func (a apt) names(ctx context.Context, prefix string) ([]string, error) {
	out, err := command{}.output(ctx, "apt-cache", append(a.options(), "pkgnames", prefix)...)
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	return strings.Fields(out), nil
}

// field returns a field of the newest version of a package.
func (a apt) field(ctx context.Context, name, field string) (string, error) {
	out, err := command{}.output(ctx, "apt-cache", append(a.options(), "show", "--no-all-versions", name)...)
	if err != nil {
		return "", fmt.Errorf("look package %s up: %w", name, err)
	}
	for line := range strings.Lines(out) {
		if value, ok := strings.CutPrefix(line, field+": "); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}

// download puts packages into dir, checked against the signed lists.
func (a apt) download(ctx context.Context, dir string, names ...string) error {
	args := append(append(a.options(), "download"), names...)
	if err := (command{dir: dir}).run(ctx, "apt-get", args...); err != nil {
		return fmt.Errorf("fetch packages: %w", err)
	}
	return nil
}
