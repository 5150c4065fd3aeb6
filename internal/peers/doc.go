// SPDX-License-Identifier: Apache-2.0

// Package peers is what this host holds of the others: a state machine for each peer, and
// whose turn it is when an Active is gone. It is pure: facts go in with the time, and what
// is to be done about them comes out.
//
//	S-BFD session ── Probed ─────┐
//	hello ────────── Spoke ──────┤              ┌──> StateChanged  what its haproxy is good for
//	neighbor watch ─ Vanished ───┼──> Table ────┼──> LifeChanged   whose adverts count
//	advert ───────── Advertised ─┤   of Peers   ├──> ActiveLost    the election may move VIPs
//	own receiving ───────────────┤              ├──> Probing       S-BFD is suspended, resumed
//	predecessor ─ InheritedFlows ┤              └──> Watching      hosts without a daemon
//	clock ────────── Tick ───────┘
//
// Suspicion moves VIPs, certainty resets flows. A peer that leaves its probes unanswered is
// Suspect after some milliseconds: the VIPs it is Active for move and new flows go
// elsewhere, which harms nobody if it was a false alarm. The flows that it has are still
// sent to it. Only when neither probes nor hellos have come of it for a second is it
// HostDead, and its flows are reset, so that clients reconnect.
//
//	Unknown        a hello comes                                    -> Up
//	Inherited      a hello comes                                    -> Up
//	Up             probes unanswered                                -> Suspect
//	Up             drained, or its daemon does not renew its lease  -> Draining
//	Up             its haproxy is dead, by its own word             -> NotServing
//	Up             no S-BFD, and no hello for a second              -> Silent
//	any            its daemon says goodbye                          -> DaemonStopped
//	Suspect        it answers                                       -> Up
//	Suspect        nothing has come of it for a second              -> HostDead
//	Suspect        adverts or hellos go on all the while            -> Up, left to adverts
//	DaemonStopped  its host answers no ARP or ND                    -> HostDead
//	HostDead       it answers, or says hello                        -> Up
//
// These are the usual ways. A peer's state follows from the facts alone, by the
// rules in state.go, so that it may change between any two.
package peers
