#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# The first process of a guest: loads the drivers of the disks, mounts them and hands
# over to run.sh, within the root image if there is one.
/bin/busybox --install -s /bin
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

while read -r module; do
	insmod "/modules/$module"
done </modules/order

# disk NAME is the device that qemu gave this serial number.
disk() {
	for serial in /sys/block/vd*/serial; do
		if [ "$(cat "$serial")" = "$1" ]; then
			serial=${serial%/serial}
			echo "/dev/${serial##*/}"
		fi
	done
}

fail() {
	echo "init: $1"
	poweroff -f
}

root=$(disk root)
if [ -n "$root" ]; then
	mount -t ext4 "$root" /newroot || fail "the root image cannot be mounted"
	new=/newroot
else
	new=
fi
mount -t ext4 "$(disk data)" $new/data || fail "the data image cannot be mounted"
mount -t ext4 -o ro "$(disk modules)" $new/lib/modules || fail "the image of modules cannot be mounted"

if [ -z "$root" ]; then
	exec sh /data/run.sh
fi
for dir in proc sys dev; do
	mount --move /$dir /newroot/$dir
done
exec switch_root /newroot /bin/sh /data/run.sh
