// Package probe answers: does this provider do what its contract says?
//
// A Prober asks one candidate a few dozen small requests, one at a time, and
// compares what comes back with the provider's contract. Each check is data with
// a small function: what the contract lets expect, what was seen, and a verdict.
// What was seen is also kept as a contract of its own, a copy of the provider's
// with the differences, so that the configuration can be brought in line with it.
//
// The requests leave through the gateway's own transport, so that they look on
// the wire as a client's would. A run is bounded in requests, time and money. A
// Prober owns no goroutine.
package probe
