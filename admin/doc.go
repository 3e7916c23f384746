// Package admin answers one question: how do operators see and steer a replica?
//
// It serves keys, usage, upstreams, explanations and health over net/http on a
// listener of its own, behind one bearer token, and holds the typed client that the
// command line uses. A Server and a Client are safe for concurrent use.
package admin
