// Package ratelimit answers one question: may this key spend now?
//
// N requests per minute are a bucket of N requests, refilled evenly at N/60 per
// second (a token bucket, golang.org/x/time/rate). A refused request spends
// nothing. Buckets live in this process alone: of several replicas, each grants
// the full limit.
//
// A Limiter is safe for concurrent use and starts no goroutine.
package ratelimit
