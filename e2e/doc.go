// Package e2e answers one question: does the binary that operators run keep the
// promises that clients and tenants were given? Its tests start the real
// `tollgate serve` as a process of its own, put the simulated providers behind
// it, whose truth log says what was really delivered, and OpenAI's official
// clients for Go and Node in front of it. It holds nothing but tests.
package e2e
