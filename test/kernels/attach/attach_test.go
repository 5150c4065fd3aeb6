// SPDX-License-Identifier: Apache-2.0

package attach_test

import (
	"testing"

	"hafast/internal/link/nstest"
	"hafast/pkg/loader"
	"hafast/test/kernels/nics"
)

func TestLoads(t *testing.T) {
	nstest.Enter(t)
	open(t)
}

func TestVethNative(t *testing.T)  { onVeth(t, loader.ModeNative) }
func TestVethGeneric(t *testing.T) { onVeth(t, loader.ModeGeneric) }

func TestNICNative(t *testing.T)  { onNICs(t, loader.ModeNative) }
func TestNICGeneric(t *testing.T) { onNICs(t, loader.ModeGeneric) }

func onVeth(t *testing.T, mode loader.Mode) {
	nstest.Enter(t)
	nstest.Veth(t, "a", "b")
	attach(t, "a", mode)
}

// onNICs attaches to each interface that the guest has on qemu's hub, and to a veth where
// there is no guest.
func onNICs(t *testing.T, mode loader.Mode) {
	given := nics.Given("hub")
	if given == nil {
		onVeth(t, mode)
		return
	}
	for _, nic := range given {
		t.Run(nic, func(t *testing.T) {
			nstest.Up(t, nic)
			attach(t, nic, mode)
		})
	}
}

func attach(t *testing.T, name string, mode loader.Mode) {
	t.Helper()
	d := open(t)
	a, err := d.Attach(name, mode)
	if err != nil {
		t.Fatal(err)
	}
	if a.Mode != mode {
		t.Errorf("attached to %s as %v: %s", name, a.Mode, a.Reason)
	}
	if err := d.Detach(name); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T) *loader.DataPath {
	t.Helper()
	d, err := loader.Open(loader.Options{Flows: loader.MinFlows})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
