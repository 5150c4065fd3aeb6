#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the labs need and is missing on Debian: test/setup.sh demo|bench|test|smoke|kernels
#
# Packages that bring a service would start it: a policy-rc.d that says no stands
# in the way while they are installed, and is gone afterwards. A policy that is
# there already stays, and then is the administrator's word on the matter.
set -eu

usage() {
	echo "usage: $0 demo|bench|test|smoke|kernels" >&2
	exit 2
}

[ $# -eq 1 ] || usage

# Lines of COMMAND PACKAGE: what is run, and where it comes from. A path stands for
# a file that must be there, to run or to read.
labs='
ip iproute2
nsenter util-linux
ethtool ethtool
haproxy haproxy
nginx nginx-light
'
# What boots other kernels. It brings no service, and needs no root once it is there.
guests='
qemu-system-x86_64 qemu-system-x86
/bin/busybox busybox-static
modprobe kmod
cpio cpio
mke2fs e2fsprogs
xz xz-utils
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
'
needs=$labs
case $1 in
demo) ;;
smoke) needs=$guests ;;
kernels)
	needs="$guests
debootstrap debootstrap
"
	;;
bench)
	needs="$needs
keepalived keepalived
conntrackd conntrackd
/etc/protocols netbase
nft nftables
"
	;;
test)
	needs="$needs$guests
keepalived keepalived
conntrackd conntrackd
/etc/protocols netbase
conntrack conntrack
/usr/lib/frr/vrrpd frr
gcc gcc
gcc libc6-dev
clang clang
clang-format clang-format
llvm-strip llvm
/usr/include/bpf/bpf_helpers.h libbpf-dev
/usr/include/linux/bpf.h linux-libc-dev
git git
ping iputils-ping
nft nftables
shellcheck shellcheck
promtool prometheus
"
	;;
*) usage ;;
esac

# Daemons live in /usr/sbin, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
export PATH

is_there() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

missing() {
	echo "$needs" | while read -r command package; do
		if [ -n "$command" ] && ! is_there "$command"; then
			echo "$package"
		fi
	done | sort -u | tr '\n' ' '
}

if ! command -v go >/dev/null 2>&1; then
	echo "setup: go is missing; get it from https://go.dev/dl/ (the version in go.mod or a later one)" >&2
	exit 1
fi

packages=$(missing)
if [ -z "$packages" ]; then
	echo "setup: nothing is missing for $1"
	exit 0
fi
echo "setup: missing for $1: $packages"

if [ "$(id -u)" -ne 0 ]; then
	echo "setup: installing needs root; run: sudo apt-get install -y --no-install-recommends $packages" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: no apt-get here; install what provides these Debian packages: $packages" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d
ours=
cleanup() {
	if [ -n "$ours" ]; then
		rm -f "$policy"
		ours=
	fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# noclobber: made only where there is none, even if another set-up runs at the same time.
if (set -C && printf '#!/bin/sh\nexit 101\n' >"$policy") 2>/dev/null; then
	ours=yes
	chmod 755 "$policy"
	echo "setup: keeping new services from starting ($policy, removed again at the end)"
else
	echo "setup: $policy is there already and decides whether new services start"
fi

export DEBIAN_FRONTEND=noninteractive
echo "setup: apt-get update"
apt-get -q update
echo "setup: apt-get install $packages"
# shellcheck disable=SC2086 # one word per package
apt-get -q install -y --no-install-recommends $packages

# At boot they would start after all, and take the ports of whoever runs this machine.
if [ -n "$ours" ] && [ -d /run/systemd/system ]; then
	for service in haproxy nginx keepalived conntrackd frr prometheus; do
		case " $packages " in
		*" $service "* | *" $service-light "*)
			echo "setup: systemctl disable $service"
			systemctl disable "$service" >/dev/null 2>&1 || true
			;;
		esac
	done
fi

left=$(missing)
if [ -n "$left" ]; then
	echo "setup: still missing after the installation: $left" >&2
	exit 1
fi
echo "setup: done"
