// Package ratelimit answers one question: may this key of this tenant spend now?
//
// N requests per minute with a burst of B are a bucket of B requests, refilled
// evenly at N/60 per second (a token bucket, golang.org/x/time/rate). A key has one,
// and its tenant may have one over all its keys: both must have the request, and a
// refused request spends nothing in either. Buckets live in this process alone: of
// several replicas, each grants the full limit.
//
// A Limiter is safe for concurrent use and starts no goroutine.
package ratelimit
