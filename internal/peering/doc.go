// Package peering tells the other hosts how this one is, and hears it of them:
// what each serves, whether it takes new flows, where its instances stand.
//
//	daemon's loop ──SetSelf──> Exchange ──hello──> UDP 9406, hop limit 255 ──> peers
//	     ^                        │  every 100 ms; upon a change at once and
//	     │                        │  three times more, 5 ms apart
//	     └──report(Peer)── Table <┘<──hello── UDP 9406 <── peers
//	                         silent after 1 s
//
// [Table] is pure: packets and the time go in, changed peers come out. [Conn] is
// the sockets, [Exchange] joins the two. [Hello] is what is said, and how it is
// written is in encode.go.
//
// # This is an interim exchange
//
// Hellos are neither encrypted nor authenticated. They are accepted from the
// configured peers' addresses only, and only with a hop limit of 255, which no
// packet from beyond a router has (RFC 5082, GTSM): whoever can forge them is on
// the hosts' own network, where ARP and VRRP can be forged too. State sync brings
// an authenticated channel between the same hosts; once it is there it is to
// carry what a Hello says, and this package goes.
//
// # What is lost
//
// A hello says everything there is to say, so that a lost one is made good by the
// next; there is nothing to be acknowledged or asked for. Hellos of one start of
// a daemon are numbered: one that was overtaken is dropped. A host that falls
// silent keeps what it said last, marked as silent; whether it is dead is for
// liveness to say.
package peering
