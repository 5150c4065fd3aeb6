// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/pkg/conntrack/record"
)

// specification is what this package implements.
const specification = "../../../docs/SYNC.md"

// vector is one of the specification's test vectors as this package makes it.
type vector struct {
	name  string
	bytes []byte
}

// vectorKey is 00 01 02 ... 1f.
func vectorKey() []byte {
	k := make([]byte, KeySize)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// vectorBatch is all that the vectors' batch says.
func vectorBatch() []any {
	client4 := record.FlowKey{Client: address("192.0.2.1"), VIP: address("198.51.100.7"), ClientPort: 40000, VIPPort: 443, Proto: 6}
	client6 := record.FlowKey{Client: address("2001:db8::1"), VIP: address("2001:db8::7"), ClientPort: 40001, VIPPort: 443, Proto: 17}
	tuple := record.Tuple{Src: address("10.0.0.1"), Dst: address("198.51.100.9"), SrcPort: 50000, DstPort: 22, Proto: 6}
	snat := inverse(tuple)
	snat.Dst = address("203.0.113.5")
	echo := record.Tuple{Src: address("fd00::1"), Dst: address("fd00::2"), SrcPort: 7, DstPort: 128 << 8, Proto: 58}
	labels := [16]byte{0: 2}
	return []any{
		Begin{Table: Flows, Generation: 3, Scope: []record.Address{client4.VIP, client6.VIP}},
		toldFlow{Set, record.Flow{Key: client4, Target: address("10.9.0.1"), Idle: 90 * time.Second}},
		toldFlow{Audit, record.Flow{Key: client4, Target: address("10.9.0.2"), Closing: true}},
		toldFlow{Delete, record.Flow{Key: client4}},
		toldFlow{Set, record.Flow{Key: client6, Target: address("fd00::2"), Idle: 18 * time.Hour}},
		toldEntry{Set, record.Entry{
			Key: record.EntryKey{Tuple: tuple}, Reply: snat, Status: 0x19e, Timeout: 432000 * time.Second,
			TCP: record.TCP{State: 3, ScaleOriginal: 7, ScaleReply: 9, FlagsOriginal: 0x23, FlagsReply: 0x23},
		}},
		toldEntry{Audit, record.Entry{
			Key: record.EntryKey{Tuple: echo, Zone: 5}, Reply: inverse(echo), Status: 0xa, Timeout: 30 * time.Second,
			Mark: 0x1234, Labels: labels, Master: record.EntryKey{Tuple: tuple, Zone: 5},
		}},
		toldEntry{Delete, record.Entry{Key: record.EntryKey{Tuple: tuple}}},
		End{Table: Flows, Generation: 3, Count: 4},
	}
}

func vectors(t *testing.T) []vector {
	t.Helper()
	ring, err := NewKeyring(vectorKey())
	if err != nil {
		t.Fatal(err)
	}
	session, err := ring.keys[0].sessionKey(bootA)
	if err != nil {
		t.Fatal(err)
	}
	w := NewBatchWriter(1400)
	for _, v := range vectorBatch() {
		if !write(w, v) {
			t.Fatal("no room")
		}
	}
	hello, err := AppendPart(nil, PartHello, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	greeting := AppendGreeting(nil, Greeting{Lowest: 1, Highest: 1, Config: 0x0102030405060708, Tables: 1<<Flows | 1<<Entries, Want: 4})
	ack := AppendAck(nil, Ack{Epoch: 4, Next: 10, Missing: []Range{{10, 12}, {20, 20}, {25, maxNumber - 1}}})
	tip := AppendTip(nil, Tip{Epoch: 4, Last: 30})
	body := slices.Concat(AppendTo(nil, bootB), hello, greeting)
	sealed := sealer(t, ring, bootA)
	sealed.counter = 0x0102
	open := sealer(t, &Keyring{}, bootA)
	open.counter = 0x0102
	var n nonce
	return []vector{
		{"pre-shared key", vectorKey()},
		{"key id", binary.BigEndian.AppendUint32(nil, ring.keys[0].id)},
		{"boot", binary.BigEndian.AppendUint64(nil, bootA)},
		{"session key", session},
		{"nonce", n.set(0x0103)},
		{"hello", hello},
		{"greeting", greeting},
		{"ack", ack},
		{"tip", tip},
		{"batch", AppendBatch(nil, Batch{Epoch: 4, Number: 1, Groups: w.Groups()})},
		{"body", body},
		{"sealed", sealBody(t, sealed, body)},
		{"not sealed", sealBody(t, open, body)},
	}
}

// TestVectors holds the vectors of the specification against what this package makes,
// and reads them.
func TestVectors(t *testing.T) {
	said := specified(t)
	for _, v := range vectors(t) {
		if got := said[v.name]; !slices.Equal(got, v.bytes) {
			t.Errorf("%s of %s is\n%x\nwant\n%s", v.name, specification, got, wrap(v.bytes))
		}
		delete(said, v.name)
	}
	for name := range said {
		t.Errorf("nothing makes the vector %s", name)
	}
	if t.Failed() {
		return
	}
	said = specified(t)
	ring, err := NewKeyring(said["pre-shared key"])
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Keyring{"sealed": ring, "not sealed": {}} {
		got, err := open(NewOpener(r, bootB), said[name])
		if err != nil || !got.Ours || !slices.Equal(got.Parts, said["body"][ToSize:]) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	b, err := DecodeBatch(only(t, said["batch"], PartBatch))
	if err != nil {
		t.Fatal(err)
	}
	got := &log{}
	if unknown, err := DecodeGroups(b.Groups, got); err != nil || unknown > 0 {
		t.Fatalf("%d unknown, %v", unknown, err)
	}
	if d := cmp.Diff(vectorBatch(), got.told); d != "" {
		t.Errorf("batch (-want +got):\n%s", d)
	}
}

// specified reads the vectors from the specification: `name: hex`, and lines that go on
// with hex.
func specified(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(specification)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```vectors\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatalf("%s has no vectors", specification)
	}
	said, name := map[string][]byte{}, ""
	for line := range strings.Lines(block) {
		if before, after, ok := strings.Cut(line, ":"); ok {
			name, line = before, after
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			t.Fatalf("vector %s: %v", name, err)
		}
		said[name] = append(said[name], b...)
	}
	return said
}

// wrap writes bytes as the specification has them.
func wrap(b []byte) string {
	var s strings.Builder
	for chunk := range slices.Chunk(b, 32) {
		s.WriteString("  " + hex.EncodeToString(chunk) + "\n")
	}
	return s.String()
}

// TestSpecificationNamesRejects: each reason has its row.
func TestSpecificationNamesRejects(t *testing.T) {
	text, err := os.ReadFile(specification)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rejects() {
		if !strings.Contains(string(text), "\n| `"+string(r)+"` |") {
			t.Errorf("%s has no row for %s", specification, string(r))
		}
	}
}
