// Package telemetry is the floor of the house. It answers one question: how is
// what happens made visible, without ever showing a secret or a word of a
// prompt? It builds the logger, mints request ids, writes the access line, and
// holds the only list of log field names.
//
// Every other package may import it; it imports none of ours. Everything here
// is safe for concurrent use.
package telemetry
