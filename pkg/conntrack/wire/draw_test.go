// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"hafast/pkg/conntrack/record"
)

// Generators draw values that can be told exactly: times in whole seconds, and of what
// is deleted the key alone.
var (
	genOp      = rapid.SampledFrom([]Op{Set, Delete, Audit})
	genTable   = rapid.SampledFrom([]Table{Flows, Entries})
	genAddress = rapid.Custom(func(t *rapid.T) record.Address {
		switch rapid.IntRange(0, 5).Draw(t, "family") {
		case 0:
			return record.Address{}
		case 1, 2, 3:
			return record.AddressOf(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes"))))
		default:
			return record.Address(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		}
	})
	genFlow = rapid.Custom(func(t *rapid.T) toldFlow {
		told := toldFlow{Op: genOp.Draw(t, "op"), Flow: record.Flow{Key: record.FlowKey{
			Client: genAddress.Draw(t, "client"), VIP: genAddress.Draw(t, "vip"),
			ClientPort: rapid.Uint16().Draw(t, "client port"), VIPPort: rapid.Uint16().Draw(t, "vip port"),
			Proto: rapid.Uint8().Draw(t, "proto"),
		}}}
		if told.Op != Delete {
			told.Flow.Target = genAddress.Draw(t, "target")
			told.Flow.Closing = rapid.Bool().Draw(t, "closing")
			told.Flow.Idle = time.Duration(rapid.Uint16().Draw(t, "idle")) * time.Second
		}
		return told
	})
	genTuple = rapid.Custom(func(t *rapid.T) record.Tuple {
		return record.Tuple{
			Src: genAddress.Draw(t, "src"), Dst: genAddress.Draw(t, "dst"),
			SrcPort: rapid.Uint16().Draw(t, "sport"), DstPort: rapid.Uint16().Draw(t, "dport"),
			Proto: rapid.SampledFrom([]uint8{1, 6, 17, 58, 132}).Draw(t, "proto"),
		}
	})
	genKey = rapid.Custom(func(t *rapid.T) record.EntryKey {
		return record.EntryKey{Tuple: genTuple.Draw(t, "tuple"), Zone: rapid.SampledFrom([]uint16{0, 0, 7, 65535}).Draw(t, "zone")}
	})
	genEntry = rapid.Custom(func(t *rapid.T) toldEntry {
		some := rapid.Bool()
		told := toldEntry{Op: genOp.Draw(t, "op"), Entry: record.Entry{Key: genKey.Draw(t, "key")}}
		if told.Op == Delete {
			return told
		}
		e := &told.Entry
		e.Reply = inverse(e.Key.Tuple)
		if some.Draw(t, "nat") {
			e.Reply = genTuple.Draw(t, "reply")
		}
		if some.Draw(t, "has status") {
			e.Status = rapid.Uint32().Draw(t, "status")
		}
		if some.Draw(t, "has timeout") {
			e.Timeout = time.Duration(rapid.Uint32().Draw(t, "timeout")) * time.Second
		}
		if some.Draw(t, "has mark") {
			e.Mark = rapid.Uint32().Draw(t, "mark")
		}
		if some.Draw(t, "has labels") {
			e.Labels = [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "labels"))
		}
		if some.Draw(t, "has tcp") {
			b := rapid.SliceOfN(rapid.Byte(), 5, 5).Draw(t, "tcp")
			e.TCP = record.TCP{State: b[0], ScaleOriginal: b[1], ScaleReply: b[2], FlagsOriginal: b[3], FlagsReply: b[4]}
		}
		if some.Draw(t, "has master") {
			e.Master = genKey.Draw(t, "master")
		}
		return told
	})
	genBegin = rapid.Custom(func(t *rapid.T) Begin {
		b := Begin{Table: genTable.Draw(t, "table"), Generation: rapid.Uint32().Draw(t, "generation")}
		if scope := rapid.SliceOfN(genAddress, 0, 5).Draw(t, "scope"); len(scope) > 0 {
			b.Scope = scope
		}
		return b
	})
	genTold = rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return genBegin.Draw(t, "begin")
		case 1:
			return End{Table: genTable.Draw(t, "table"), Generation: rapid.Uint32().Draw(t, "generation"), Count: rapid.Uint64().Draw(t, "count")}
		case 2, 3, 4:
			return genEntry.Draw(t, "entry")
		default:
			return genFlow.Draw(t, "flow")
		}
	})
)
