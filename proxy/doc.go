// Package proxy is the life of one request: it answers who may ask, who shall
// answer, what reaches the client and what goes on the bill.
//
// It is an explicit handler with named stages (see Gateway), not a middleware
// chain: under fasthttp a stream runs after the handler has returned, so only an
// object that lives as long as the answer can end it. That object is the
// exchange; there is one per request, and exactly one place where it ends.
//
// It is the only package, with cmd, that sees fasthttp. Nothing taken from a
// fasthttp context outlives its request uncopied. A Gateway is safe for
// concurrent use; an exchange belongs to its connection's goroutine.
package proxy
