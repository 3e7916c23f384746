// Package ratelimit answers one question: may this key of this tenant spend now?
//
// A request meets up to six limits: requests per minute, tokens per minute and requests in progress at once, of its key
// and of its tenant over all its keys. It takes what it needs from all of them, or nothing from any.
//
// # Buckets
//
// N per minute with a burst of B are a bucket of B that fills evenly at N/60 per second. It is measured in nanoseconds of
// its own refill, which makes it GCRA, and its arithmetic that of integers: see tokenRate, level and Order.
//
// # Replicas
//
// What several replicas share lies in a Bank. A Limiter asks it by orders: one for all requests of a tenant that wait at
// that moment, and no second one until the first is answered. Where a rate is high enough, an order draws more than is
// needed: a lease, which is spent without the bank and goes back when half a second is over. What will be refused
// is known from the last answer, and refused without the bank, too.
//
// Where the bank does not answer, and where there is none, a replica decides alone, by buckets of its own at its share of
// the rate. What it has drawn alone it tells the bank when that is back.
//
// # Concurrency
//
// A Limiter and a Forecast are safe for concurrent use. Each tenant has one lock, with its keys. A Limiter with a bank
// has one goroutine, the flusher, which Close ends; without one it has none.
package ratelimit
