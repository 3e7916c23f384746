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
// concurrent use. An exchange belongs to its connection's goroutine. Three others
// may touch it, each in one place: the watcher of connections tells it that its
// client has left (departure), its alarm's timer writes comments while it waits
// for a provider (relay.beat), and the attempts of a stream that began with a
// comment run beside it (aloud).
package proxy
