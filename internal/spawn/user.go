// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// identity is whom a child runs as.
type identity struct {
	// credential is nil when the child keeps the daemon's.
	credential *syscall.Credential
	// env holds HOME, USER and LOGNAME, nil when the child keeps the daemon's.
	env []string
}

// CheckUser reports whether name is a user that commands can be run as: "", a
// name or a number, optionally with a group: "user:group" or "user group".
func CheckUser(name string) error {
	_, err := lookup(name)
	return err
}

func lookup(name string) (identity, error) {
	if name == "" {
		return identity{}, nil
	}
	name, group, _ := strings.Cut(strings.Replace(name, " ", ":", 1), ":")
	u, err := user.Lookup(name)
	if err != nil {
		if _, convErr := strconv.ParseUint(name, 10, 32); convErr == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		return identity{}, fmt.Errorf("user %q: %w", name, err)
	}
	gid := u.Gid
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return identity{}, fmt.Errorf("group %q: %w", group, err)
		}
		gid = g.Gid
	}

	cred := new(syscall.Credential)
	if cred.Uid, err = id(u.Uid); err != nil {
		return identity{}, err
	}
	if cred.Gid, err = id(gid); err != nil {
		return identity{}, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return identity{}, fmt.Errorf("groups of user %q: %w", name, err)
	}
	for _, g := range groups {
		n, err := id(g)
		if err != nil {
			return identity{}, err
		}
		cred.Groups = append(cred.Groups, n)
	}

	who := identity{
		credential: cred,
		env:        []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username},
	}
	// Without privileges a daemon can still be told to run commands as itself,
	// where setgroups(2) would be refused.
	if euid := os.Geteuid(); euid != 0 && uint32(euid) == cred.Uid && group == "" {
		who.credential = nil
	}
	return who, nil
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user or group id: %w", err)
	}
	return uint32(n), nil
}
