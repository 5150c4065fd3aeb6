// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNumbersEqualTheHeader: what is written twice must be the same twice.
func TestNumbersEqualTheHeader(t *testing.T) {
	header := readHeader(t)
	for name, ours := range map[string]int{
		"ABI_VERSION": abiVersion, "MAX_TARGETS": MaxTargets, "MAX_PEERS": MaxPeers, "MAX_GATES": MaxGates,
		"MAX_SETS": MaxSets, "MAX_VIPS": MaxVIPs, "MAX_LOCALS": MaxLocals, "TABLE_SIZE": TableSize,
		"SERVICE_SLOTS": serviceSlots, "SERVICE_PROBES": serviceProbes, "NO_TARGET": NoTarget, "NO_SET": NoSet,
		"FILTER_BITS": 64 * len(bpfControl{}.Filter), "NO_SERVICE": NoService, "TRAFFIC_SERVICES": TrafficServices,
		"REPLICA_BATCH": replicaBatch, "LEG_DISCRIMINATOR": LegDiscriminator,
	} {
		m := regexp.MustCompile(`(?m)^#define ` + name + ` (\w+)`).FindStringSubmatch(header)
		if m == nil {
			t.Errorf("abi.h does not define %s", name)
			continue
		}
		theirs, err := strconv.ParseInt(m[1], 0, 64)
		if err != nil || int(theirs) != ours {
			t.Errorf("%s is %s in abi.h, but %d here", name, m[1], ours)
		}
	}
	for name, ours := range map[string]int{
		"TARGET_LOCAL": int(TargetLocal), "TARGET_NEW": int(TargetNew), "TARGET_OLD": int(TargetOld),
		"FLOW_CLOSING": flowClosing, "FLOW_REPLICA": flowReplica,
		"EVENT_CREATED": int(FlowCreated), "EVENT_CLOSING": int(FlowClosing), "EVENT_MOVED": int(FlowMoved),
		"REPLICA_TELL": replicaTell, "REPLICA_GONE": replicaGone, "REPLICA_SWEEP": replicaSweep,
		"REPLICA_SAME": int(ReplicaSame), "REPLICA_ADDED": int(ReplicaAdded), "REPLICA_ALTERED": int(ReplicaAltered),
		"REPLICA_REMOVED": int(ReplicaRemoved), "REPLICA_KEPT": int(ReplicaKept), "REPLICA_FAILED": int(ReplicaFailed),
	} {
		if !regexp.MustCompile(`\b` + name + ` = ` + strconv.Itoa(ours) + `,`).MatchString(header) {
			t.Errorf("%s is not %d in abi.h", name, ours)
		}
	}
	if mask := "FLOW_GENERATION = " + fmt.Sprintf("%#x", maxGenerations<<generationShift) + ","; !strings.Contains(header, mask) {
		t.Errorf("abi.h does not have %s", mask)
	}
}

// TestReasonsEqualTheHeader: each has its label, in the order of the enum.
func TestReasonsEqualTheHeader(t *testing.T) {
	_, enum, _ := strings.Cut(readHeader(t), "enum reason {")
	enum, _, _ = strings.Cut(enum, "};")
	var labels []string
	for _, m := range regexp.MustCompile(`(?m)^\s*([A-Z0-9_]+),`).FindAllStringSubmatch(enum, -1) {
		if m[1] != "REASONS" {
			labels = append(labels, strings.ToLower(m[1]))
		}
	}
	if len(labels) != Reasons {
		t.Fatalf("abi.h has %d reasons, reason.go %d", len(labels), Reasons)
	}
	for i, want := range labels {
		if got := Reason(i).String(); got != want {
			t.Errorf("reason %d is %q, but %q in abi.h", i, got, want)
		}
	}
	if got := Reason(Reasons).String(); got != "reason_"+strconv.Itoa(Reasons) {
		t.Errorf("a reason that there is not is called %q", got)
	}
}

// TestLayoutNeedsVersion: a layout that changes needs another ABI version, or a
// daemon would take a predecessor's maps for its own. After raising the version in
// abi.h and abi.go, write the new sizes here.
func TestLayoutNeedsVersion(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	type layout struct{ key, value uint32 }
	version := 1
	want := map[string]layout{
		bpfMapControl: {4, 9832}, bpfMapTcp4: {12, 8}, bpfMapUdp4: {12, 8}, bpfMapTcp6: {36, 8}, bpfMapUdp6: {36, 8},
	}
	if version != abiVersion {
		t.Fatalf("the sizes here are those of ABI version %d", version)
	}
	for name, w := range want {
		if got := (layout{spec.Maps[name].KeySize, spec.Maps[name].ValueSize}); got != w {
			t.Errorf("%s has keys of %d and values of %d bytes; in ABI version %d they had %d and %d",
				name, got.key, got.value, version, w.key, w.value)
		}
	}
}
