// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

const (
	// batchSize is how many requests are sent at once: enough that the system calls cost
	// little of each, and few enough that others get at the table's locks between them.
	batchSize = 64
	// answersBuffer has room for an answer to each, four times over.
	answersBuffer = 1 << 20
)

// Table asks for entries and changes them. It belongs to one goroutine at a time.
type Table struct {
	fd      int
	port    uint32
	seq     uint32
	out     nlmsg.Builder
	answers *reader
	report  Report

	// unlabelled tells that this host has no place for labels.
	unlabelled bool

	jobs []job
	// asked are the jobs that the messages of a round belong to.
	asked []int
}

// Open opens the table of the calling thread's network namespace.
func Open() (*Table, error) {
	fd, err := openSocket(answersBuffer)
	if err != nil {
		return nil, err
	}
	port, err := bind(fd, 0)
	if err == nil {
		// Errors come back without the request that they are about.
		err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open connection tracking: %w", err)
	}
	return &Table{fd: fd, port: port, answers: newReader()}, nil
}

// Close closes the table.
func (t *Table) Close() error { return unix.Close(t.fd) }

// next is the number of the next request.
func (t *Table) next() uint32 {
	t.seq++
	return t.seq
}

// exchange sends the requests in t.out and calls each for every answer; the message
// is valid only meanwhile. Requests that go well are not answered, but those that ask
// for something.
func (t *Table) exchange(each func(nlmsg.Message)) error {
	defer t.out.Reset()
	if err := send(t.fd, t.out.Bytes()); err != nil {
		return err
	}
	for {
		n, err := t.answers.read(t.fd)
		if err != nil {
			return fmt.Errorf("read from netfilter: %w", err)
		}
		if n == 0 {
			return nil
		}
		for slot := range n {
			datagram, err := t.answers.datagram(slot)
			if err != nil {
				return fmt.Errorf("read from netfilter: %w", err)
			}
			for m := range nlmsg.Messages(datagram) {
				each(m)
			}
		}
	}
}

// Get calls each for those of the entries that there are, in order. The entry is valid
// only meanwhile.
func (t *Table) Get(keys []record.EntryKey, each func(index int, e *record.Entry)) error {
	for start := 0; start < len(keys); start += batchSize {
		end := min(start+batchSize, len(keys))
		first := t.seq + 1
		for i := start; i < end; i++ {
			appendKey(&t.out, typeGet, t.next(), &keys[i])
		}
		err := t.exchange(func(m nlmsg.Message) {
			index := int(m.Seq - first)
			if index < end-start && m.Type == typeNew && Decode(m, &t.report) == nil {
				each(start+index, &t.report.Entry)
			}
		})
		if err != nil {
			return fmt.Errorf("ask for entries: %w", err)
		}
	}
	return nil
}

// Usage returns how many entries there are, and how many there may be: of the former
// each network namespace has its own, of the latter all have the first one's
// (nf_conntrack_max). A limit of 0 is none, or one that the kernel does not tell.
func (t *Table) Usage() (entries, limit int, err error) {
	t.out.Begin(typeGetStats, unix.NLM_F_REQUEST, t.next(), unix.AF_UNSPEC, 0, 0, 0)
	t.out.End()
	var failure error
	err = t.exchange(func(m nlmsg.Message) {
		if m.Seq != t.seq {
			return
		}
		if m.Type == unix.NLMSG_ERROR {
			failure = m.Errno()
			return
		}
		if len(m.Data) < sizeofGenMsg {
			return
		}
		for typ, value := range nlmsg.Attrs(m.Data[sizeofGenMsg:]) {
			switch {
			case len(value) != 4:
			case typ == ctaStatsEntries:
				entries = int(binary.BigEndian.Uint32(value))
			case typ == ctaStatsMaxEntries:
				limit = int(binary.BigEndian.Uint32(value))
			}
		}
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask how full connection tracking is: %w", err)
	}
	return entries, limit, nil
}
