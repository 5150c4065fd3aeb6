// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// refusal says in words why native mode is not to be had: in the driver's own where it
// has any, and by what it is likely to mind.
func (d *DataPath) refusal(at networkInterface, err error) string {
	return readNIC(at.name, d.kernel.frames).refusal(d.driverSays(at, err), err)
}

func (n nic) refusal(said string, err error) string {
	text := fmt.Sprintf("the driver of %s (%s)", n.name, n.driver)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		text += " has no native XDP"
	case errors.Is(err, unix.ENOMEM):
		text += " has no queues or memory left for native XDP"
	default:
		text += " refuses native XDP"
	}
	if said != "" {
		text += `: it says "` + said + `"`
		n.mtu = 0 // would have been mentioned; drivers differ in what they take
	}
	if likely := n.obstacles(); len(likely) > 0 {
		text += "; likely since " + strings.Join(likely, ", and since ")
	}
	return text
}

// driverSays asks once more by netlink, which unlike bpf(2) hands on what a driver says
// when it refuses. It is empty if there was nothing to be heard.
func (d *DataPath) driverSays(at networkInterface, refused error) string {
	if errors.Is(refused, unix.EBUSY) || errors.Is(refused, unix.EEXIST) || errors.Is(refused, unix.EPERM) {
		return "" // not the driver's doing
	}
	const flags = unix.XDP_FLAGS_DRV_MODE
	errno, said := setXDP(at.index, d.program.FD(), 0, flags|unix.XDP_FLAGS_UPDATE_IF_NOEXIST)
	if errno == 0 {
		// It took the program after all, and by another way than is wanted here.
		_, _ = setXDP(at.index, -1, d.program.FD(), flags|unix.XDP_FLAGS_REPLACE)
	}
	return said
}

// setXDP puts a program on an interface as "ip link set" does; a negative one takes that
// one off which is expected there. It returns the kernel's answer, with its words.
func setXDP(ifindex, program, expected int, flags uint32) (unix.Errno, string) {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(ifindex)
	request.AddData(info)
	xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	xdp.AddRtAttr(unix.IFLA_XDP_FD, nl.Uint32Attr(uint32(int32(program))))
	xdp.AddRtAttr(unix.IFLA_XDP_FLAGS, nl.Uint32Attr(flags))
	if flags&unix.XDP_FLAGS_REPLACE != 0 {
		xdp.AddRtAttr(unix.IFLA_XDP_EXPECTED_FD, nl.Uint32Attr(uint32(expected)))
	}
	request.AddData(xdp)

	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return unix.EIO, ""
	}
	defer socket.Close()
	// Without the request's copy in front of the words, which is sent to those who do
	// not ask for it to be left out.
	fd := socket.GetFd()
	err = errors.Join(socket.SetExtAck(true), unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
		socket.SetReceiveTimeout(&unix.Timeval{Sec: 5}), socket.Send(request))
	if err != nil {
		return unix.EIO, ""
	}
	answers, _, err := socket.Receive()
	if err != nil {
		return unix.EIO, ""
	}
	for _, answer := range answers {
		if answer.Header.Type == unix.NLMSG_ERROR && answer.Header.Seq == request.Seq {
			return verdict(answer.Header.Flags, answer.Data)
		}
	}
	return unix.EIO, ""
}

// verdict reads an answer of type NLMSG_ERROR: the error, the request's header, and
// attributes if the flags say so.
func verdict(flags uint16, answer []byte) (errno unix.Errno, said string) {
	const attributes = 4 + unix.SizeofNlMsghdr
	if len(answer) < attributes {
		return unix.EIO, ""
	}
	errno = unix.Errno(-int32(binary.NativeEndian.Uint32(answer)))
	if flags&unix.NLM_F_ACK_TLVS == 0 {
		return errno, ""
	}
	attrs, err := nl.ParseRouteAttr(answer[attributes:])
	if err != nil {
		return errno, ""
	}
	for _, attr := range attrs {
		if attr.Attr.Type == unix.NLMSGERR_ATTR_MSG {
			said = unix.ByteSliceToString(attr.Value)
		}
	}
	return errno, said
}
