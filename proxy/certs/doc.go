// Package certs answers one question: which certificate does the public listener show?
//
// [Files] are a certificate and its key on disk. A handshake looks at them at most once per second; new ones are shown
// from that handshake on, without a restart. No goroutine watches them: a listener that nobody calls reads nothing.
// Files that do not make a pair (half written, of two renewals, gone) change nothing but the log.
//
// A new pair is for new connections. Those that are open stay as they are, and what they need to be resumed (session
// tickets, RFC 8446 section 4.6.1) dies with the pair that they were opened under: the client does a full handshake
// and sees the new certificate. So nothing of a withdrawn key outlives its replacement, and no client sees an error.
//
// Everything exported is safe for concurrent use.
package certs
