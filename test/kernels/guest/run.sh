#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# Runs the test binaries that /data/tests lists, in a guest. A port named "results"
# carries what they print, with a line of @kernels before and after each.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TMPDIR=/tmp
export HAFAST_REQUIRE_NETNS=1 HAFAST_BIN=/data/bin/hafast
export GOGC=400 # memory is there; an emulated processor is what lacks

mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup

ulimit -l unlimited
ulimit -n 20000
/data/busybox hostname guest
/data/busybox ip link set lo up

modprobe virtio_net
modprobe veth

for name in /sys/class/virtio-ports/*/name; do
	if [ "$(cat "$name")" = results ]; then
		port=${name%/name}
		exec 3>"/dev/${port##*/}"
	fi
done
tab=$(printf '\t')
echo "@kernels release $(uname -r)" >&3

while IFS="$tab" read -r package timeout skip run; do
	echo "@kernels begin $package" >&3
	cd "/data/tree/$package" || continue
	./package.test -test.v=test2json -test.timeout="$timeout" \
		-test.skip="$skip" -test.run="$run" >&3 2>&1 </dev/null
	echo "@kernels end $package $?" >&3
done </data/tests

echo "@kernels done" >&3
exec 3>&-
/data/busybox poweroff -f
