// Package upstream answers: who can serve this model, who is next, and how is
// it asked?
//
// A Table is built from the configuration: contracts say what each provider
// documents, endpoints say where it is reached and with which credential, models
// say which of them may answer a public name. A Route walks one request through
// the candidates of its model: those whose contract takes what the request needs,
// untried, available, of the lowest tier, one of them by the model's policy. A
// Transport asks one candidate once; it never retries and never follows.
//
// What is learned of upstreams stands at three levels and outlives the tables,
// which share it by identity:
//
//	address   provider, base URL      a breaker of connections, TLS and 5xx
//	account   ... with a credential   cooldown, quarantine, bans, requests in progress
//	lane      ... for a model         breakers of answers and of streams, cooldown, latency
//
// An outcome moves them as one table says (outcome.go). A breaker is gobreaker's
// window and rules, the gate, with four additions: a streak of failures beside the
// window, a sequence that knows which attempts are undecided, witnesses that tell
// one tenant's failures from an upstream's, and its own time and places for probes.
//
// A Table and its Models never change but for what they know, and are safe for
// concurrent use, as are a Transport and a Monitor. A Route and an Attempt belong
// to their request: one goroutine at a time.
package upstream
