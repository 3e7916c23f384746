// Package redistest answers one question for tests: where is a real Redis? It
// starts redis-server processes on loopback ports of their own, alone, behind
// Sentinels or as a Cluster, lets a test stop, kill, pause and restart them, and
// ends them with the test.
//
// Its functions fail the test instead of returning errors, so they belong to
// the test's own goroutine. Only tests import it.
package redistest
