// Package telemetry is the floor of the house. It answers one question: how is
// what happens made visible, without ever showing a secret or a word of a
// prompt? It makes the traces, the metrics and the logger, mints request ids,
// writes the access line, and holds the only list of the names of all these.
// docs/telemetry.md explains every one.
//
// How a request ended is told once, by an Access; the span, the metrics and the
// log line are made of it.
//
// Every other package may import it; it imports none of ours. Everything here
// is safe for concurrent use, except that one goroutine at a time uses a span.
package telemetry
