#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Joins a tap to its network's bridge, which the first one makes: wire1-0 belongs to wire1.
# qemu runs this for each tap, in the network namespace that it was started in.
set -eu
PATH=$PATH:/usr/sbin:/sbin
tap=$1
bridge=${tap%-*}

# Neither end is an IP host, and a bridge that learns groups from queries would wait for some.
if ! ip link show "$bridge" >/dev/null 2>&1; then
	ip link add "$bridge" type bridge stp_state 0 mcast_snooping 0
	ip link set "$bridge" addrgenmode none up
fi
ip link set "$tap" addrgenmode none
ip link set "$tap" master "$bridge" up
