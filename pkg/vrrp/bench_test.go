// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"fmt"
	"testing"
	"time"

	"hafast/pkg/vrrp"
)

// crowd is a router with as many instances as one interface has VRIDs.
func crowd(b *testing.B) (*vrrp.Router, []vrrp.Instance) {
	b.Helper()
	instances := make([]vrrp.Instance, 255)
	for i := range instances {
		instances[i] = instance(fmt.Sprintf("VI_%d", i+1), uint8(i+1), "")
		instances[i].Params.Interval = 100 * time.Millisecond
	}
	r, err := vrrp.NewRouter(instances)
	if err != nil {
		b.Fatal(err)
	}
	for _, in := range instances {
		r.Step(epoch, in.Name, vrrp.SetSource{Addr: ours})
		r.Step(epoch, in.Name, vrrp.Start{})
	}
	return r, instances
}

// BenchmarkReceive255 is an advert for the last of 255 instances.
func BenchmarkReceive255(b *testing.B) {
	r, instances := crowd(b)
	last := instances[254]
	advert := last.Params.Advert(200)
	payload, err := advert.AppendBinary(nil, higher, vrrp.Group4(), vrrp.ChecksumLegacy)
	if err != nil {
		b.Fatal(err)
	}
	p := vrrp.Packet{Src: higher, Dst: vrrp.Group4(), TTL: vrrp.TTL, Payload: payload}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Receive(epoch, last.Interface, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeadline255 and BenchmarkTick255 are what the event loop pays for each
// of its turns; a turn of the second sends 255 adverts.
func BenchmarkDeadline255(b *testing.B) {
	r, _ := crowd(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Deadline(); !ok {
			b.Fatal("no timer runs")
		}
	}
}

func BenchmarkTick255(b *testing.B) {
	r, _ := crowd(b)
	b.ReportAllocs()
	for b.Loop() {
		at, _ := r.Deadline()
		if out := r.Tick(at); len(out) < 255 {
			b.Fatalf("%d things to do", len(out))
		}
	}
}

// BenchmarkEncode is one advert with one address.
func BenchmarkEncode(b *testing.B) {
	params := instance("VI_1", 1, "").Params
	advert := params.Advert(100)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := advert.AppendBinary(buf, ours, vrrp.Group4(), vrrp.ChecksumLegacy); err != nil {
			b.Fatal(err)
		}
	}
}
