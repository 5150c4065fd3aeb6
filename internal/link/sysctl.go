// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Setting is one kernel setting.
type Setting struct {
	// Path is relative to /proc/sys, with slashes: interface names may hold dots.
	Path  string
	Value string
}

// AnswerOwnOnly are the settings that let a host carry a VIP on lo, or on one
// interface, without answering ARP for it on another (Linux
// Documentation/networking/ip-sysctl.rst):
//
//   - arp_ignore=1: reply only if the target is an address of the interface that
//     the request came in on;
//   - arp_announce=2: never use a VIP as the sender of the host's own ARP
//     requests, which would move the VIP in the neighbours' tables.
//
// IPv6 needs none: neighbour discovery answers for the interface's addresses only.
func AnswerOwnOnly(iface string) []Setting {
	return []Setting{
		{Path: "net/ipv4/conf/" + iface + "/arp_ignore", Value: "1"},
		{Path: "net/ipv4/conf/" + iface + "/arp_announce", Value: "2"},
	}
}

// ForMacvlan are the settings of a device that carries a virtual MAC.
//
// Packets to the VIP come in on the macvlan device while the route back to their
// sender leads out of its parent, which strict reverse path filtering takes for
// spoofing. Loose filtering (2) is set rather than none (0), because the
// stricter of this value and net.ipv4.conf.all.rp_filter applies, as a number:
// 2 wins over a 1 there, 0 does not.
func ForMacvlan(name string) []Setting {
	return append(AnswerOwnOnly(name),
		Setting{Path: "net/ipv4/conf/" + name + "/rp_filter", Value: "2"},
		Setting{Path: "net/ipv6/conf/" + name + "/accept_ra", Value: "0"},
	)
}

// Sysctls sets kernel settings and puts them back. What they were is kept in a
// file, so that a daemon started after a kill still knows the true originals.
type Sysctls struct {
	root string
	file string
	ns   *namespace

	mu    sync.Mutex
	saved map[string]savedSetting
}

// savedSetting is what a setting was and what it was made.
type savedSetting struct {
	Original string `json:"original"`
	Set      string `json:"set"`
}

// NewSysctls works in the calling thread's network namespace and keeps originals
// in stateDir/sysctl.json, reading those that a predecessor left there. A file
// that cannot be understood is an error: to overwrite it would lose the originals.
func NewSysctls(stateDir string) (*Sysctls, error) {
	ns, err := currentNamespace()
	if err != nil {
		return nil, err
	}
	s := &Sysctls{root: "/proc/sys", file: filepath.Join(stateDir, "sysctl.json"), ns: ns, saved: map[string]savedSetting{}}
	data, err := os.ReadFile(s.file)
	if err == nil {
		err = json.Unmarshal(data, &s.saved)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ns.close()
		return nil, fmt.Errorf("read saved sysctls in %s: %w", s.file, err)
	}
	return s, nil
}

// Close releases the namespace. It does not restore anything.
func (s *Sysctls) Close() error { return s.ns.close() }

// Apply makes the settings. Originals are on disk before the first setting
// changes. A setting that does not exist, because its interface or IPv6 is
// missing, is passed over.
func (s *Sysctls) Apply(settings []Setting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ns.do(func() error { return s.apply(settings) })
}

func (s *Sysctls) apply(settings []Setting) error {
	var change []Setting
	dirty := false
	for _, want := range settings {
		now, err := s.read(want.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if now != want.Value {
			change = append(change, want)
		}
		saved, known := s.saved[want.Path]
		if !known && now == want.Value {
			continue
		}
		if !known {
			saved.Original = now
		}
		if saved.Set != want.Value {
			saved.Set = want.Value
			s.saved[want.Path] = saved
			dirty = true
		}
	}
	if dirty {
		if err := s.store(); err != nil {
			return err
		}
	}
	for _, want := range change {
		if err := s.write(want); err != nil {
			return err
		}
	}
	return nil
}

// Restore puts every original back and removes the file. A setting that somebody
// has changed in the meantime is theirs now and stays; one whose interface has
// gone has nothing to restore.
func (s *Sysctls) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ns.do(func() error {
		var failures []error
		for _, path := range slices.Sorted(maps.Keys(s.saved)) {
			saved := s.saved[path]
			now, err := s.read(path)
			if err == nil && now == saved.Set {
				err = s.write(Setting{Path: path, Value: saved.Original})
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				failures = append(failures, err)
				continue
			}
			delete(s.saved, path)
		}
		return errors.Join(append(failures, s.store())...)
	})
}

// store writes the originals, in one step or not at all; none left means no file.
func (s *Sysctls) store() error {
	if len(s.saved) == 0 {
		if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove saved sysctls: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(s.saved, "", "  ")
	if err != nil {
		return fmt.Errorf("encode saved sysctls: %w", err)
	}
	if err := writeFile(s.file, append(data, '\n')); err != nil {
		return fmt.Errorf("save sysctls: %w", err)
	}
	return nil
}

func (s *Sysctls) read(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		return "", fmt.Errorf("read sysctl: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// write opens without O_CREATE: a setting that has just gone must not turn into
// a file where the root is no procfs.
func (s *Sysctls) write(v Setting) error {
	f, err := os.OpenFile(filepath.Join(s.root, v.Path), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	_, err = f.WriteString(v.Value)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	return nil
}

// writeFile replaces a file atomically: readers, and a daemon started after a
// power cut, see the old content or the new.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
