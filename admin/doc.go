// Package admin answers one question: how do operators see and steer a replica?
//
// It serves keys, tenants, who changed what, usage, upstreams, explanations and health over
// net/http on a listener of its own. Each operator has a bearer token, whose name the audit
// gives, and may ask at a bounded rate. openapi.json describes every route, and the tests hold
// the handlers to it. The package holds the typed client that the command line uses, too.
// A Server and a Client are safe for concurrent use.
package admin
