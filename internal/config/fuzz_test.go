// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"testing"
)

// FuzzParse holds Parse to its contract: a valid configuration, or problems that
// each name a line, a text and a mend.
func FuzzParse(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte(contract))
	f.Add([]byte(instance + "haproxy: off\nmetrics: off\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("a: &a [b]\nc: [*a, *a]\n"))
	f.Add([]byte("instances: [{vips: [{}], track: {scripts: [{}]}, routes: [{}]}]\n"))
	f.Add([]byte("\ufeffinterface: eth0\r\ninstances: [{vrid: 1, vips: [fd00::1/64]}]\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		if err == nil {
			checkUsable(t, c)
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("error is %T: %v", err, err)
		}
		for _, e := range errs {
			if e.Line < 1 || e.Text == "" || e.Mend == "" || e.File != "f.yaml" {
				t.Errorf("incomplete problem %+v", e)
			}
		}
	})
}

func checkUsable(t *testing.T, c *Config) {
	t.Helper()
	if len(c.Instances) == 0 {
		t.Error("no instance")
	}
	for _, inst := range c.Instances {
		if inst.VRID == 0 || inst.Priority == 0 || inst.Interface == "" || inst.Name == "" || inst.AdvertInterval <= 0 {
			t.Errorf("incomplete instance %+v", inst)
		}
		if len(inst.VIPs) == 0 {
			t.Error("instance without VIP")
		}
		for _, vip := range inst.VIPs {
			if !vip.Prefix.IsValid() || vip.Interface == "" {
				t.Errorf("incomplete VIP %+v", vip)
			}
		}
		for _, r := range inst.Routes {
			if !r.To.IsValid() || r.Interface == "" {
				t.Errorf("incomplete route %+v", r)
			}
		}
		for _, peer := range inst.Peers {
			if !peer.IsValid() {
				t.Error("zero peer")
			}
		}
	}
}
