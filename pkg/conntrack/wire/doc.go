// SPDX-License-Identifier: Apache-2.0

// Package wire is how hosts that replicate flow state write it down: datagrams that
// are sealed, parts within them, and records within those. docs/SYNC.md is its
// specification.
//
//	datagram   header | AES-256-GCM of the body | tag        Sealer, Opener
//	body       to | part | part | ...                        AppendTo, AppendPart; Parts
//	part       Hello, Greeting, Batch, Ack, Tip              AppendGreeting, DecodeGreeting, ...
//	batch      epoch, number | group | group | ...           AppendBatch, DecodeBatch
//	group      records of one kind                           BatchWriter; DecodeGroups, Handler
//
// The package opens no sockets and reads no clock. A host has one [Sealer], and an
// [Opener] for each peer.
//
// # What a receiver may rely on
//
// A datagram changes nothing before it is authenticated, and nothing if it is
// rejected. What is then found behind the authentication is bounded and checked all the
// same: a peer may be of another version, or have a bug.
//
// # Sessions
//
// Authentic does not mean live: whoever has recorded datagrams can play them to a host
// that has just started. So each datagram says to which start of its receiver it is
// addressed, a number that a recording cannot know. [Opened.Ours] reports whether it did;
// only then do its parts count, and only then does a new start of the peer replace the
// former one.
package wire
