// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// shortList is how many allowed words are worth listing beside a near one.
	shortList = 10
	// longList is how many are worth listing at all.
	longList = 40
)

// suggest says what to write instead of an unknown key.
func suggest(key string, allowed []string) string {
	if instead, ok := keepalivedWords()[key]; ok && slices.Contains(allowed, strings.TrimSuffix(instead, ": false")) {
		return fmt.Sprintf("write %s (%s is keepalived's word)", instead, key)
	}
	var mend string
	if near := nearest(key, allowed); near != "" {
		mend = fmt.Sprintf("did you mean %s?", near)
	}
	switch {
	case len(allowed) > shortList && mend != "":
		return mend
	case len(allowed) > longList:
		return "write one of those that exist"
	}
	list := "allowed are " + strings.Join(allowed, ", ")
	if mend == "" {
		return list
	}
	return mend + " (" + list + ")"
}

// keepalivedWords are the names under which people who come from keepalived know our keys.
func keepalivedWords() map[string]string {
	return map[string]string{
		"advert_int":              "advert_interval",
		"authentication":          "auth",
		"auth_pass":               "password",
		"auth_type":               "type",
		"dev":                     "interface",
		"mcast_src_ip":            "source",
		"nopreempt":               "preempt: false",
		"notify_backup":           "notify",
		"notify_fault":            "notify",
		"notify_master":           "notify",
		"track_file":              "track",
		"track_interface":         "track",
		"track_process":           "track",
		"track_script":            "track",
		"unicast_peer":            "peers",
		"unicast_src_ip":          "source",
		"use_vmac":                "virtual_mac",
		"virtual_ipaddress":       "vips",
		"virtual_router_id":       "vrid",
		"virtual_routes":          "routes",
		"vrrp_instance":           "instances",
		"vrrp_script":             "scripts",
		"vrrp_sync_group":         "sync_groups",
		"garp_master_repeat":      "count",
		"garp_master_delay":       "repeat_delay",
		"garp_master_refresh":     "refresh",
		"garp_interval":           "interval",
		"vrrp_track_process":      "track",
		"virtual_server":          "services",
		"router_id":               "node",
		"vrrp_garp_interval":      "announce",
		"vrrp_garp_master_repeat": "announce",
	}
}

// nearest returns the word most like key, or "" when none is alike.
func nearest(key string, words []string) string {
	key = strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	best, bound := "", max(1, len(key)/3)
	for _, word := range words {
		if max(len(key)-len(word), len(word)-len(key)) > bound {
			continue
		}
		if n := distance(key, strings.ToLower(word)); n <= bound {
			best, bound = word, n-1
		}
	}
	return best
}

// distance is how many letters must be put in, taken out, changed or swapped with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(change, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
