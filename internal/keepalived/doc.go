// SPDX-License-Identifier: Apache-2.0

// Package keepalived turns the configuration of a keepalived host, and of
// conntrackd beside it, into hafast.yaml.
//
//	keepalived.conf ─┐
//	  include *.conf ┤ reader   physical lines, includes in their place
//	conntrackd.conf ─┘   │
//	                     v
//	                   lexer    comments, $PARAMETERS, "quotes", one brace a line
//	                     │
//	                     v
//	                   parser   a tree of {keyword, arguments, children, place}
//	                     │
//	                     v
//	                 translator one file per block of keepalived.conf
//	                     │
//	                     v
//	                  document  what hafast.yaml will say, with notes
//	                     │
//	                     v
//	                   emitter  YAML with comments, and the warnings
//
// The rule that shapes the translator: each keyword of the input is either
// carried over or named in a warning with its file and line, and each warning
// also stands as a comment where a reader of the YAML will look for it. A keyword
// nobody knows is such a warning; only input that cannot be read at all, such
// as an unbalanced brace or an include loop, is an error.
//
// Where keepalived's manual and keepalived 2.2.7 disagree, the program is
// followed, because that is what the host has been doing so far.
package keepalived
