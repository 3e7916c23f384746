// Package upstream answers: who can serve this model, who is next, and how is
// it asked?
//
// A Table is built from the configuration: contracts say what each provider
// documents, endpoints say where it is reached and with which credential, models
// say which of them may answer a public name. A Route walks one request through
// the candidates of its model: the ones whose contract takes what the request
// needs, untried, behind a breaker that lets it through, lowest tier first. A
// Transport asks one candidate once; it never retries and never follows.
//
// A Table, its Models and a Transport are safe for concurrent use and never
// change once built. A Route belongs to its request. An Attempt may be reported
// from any goroutine; the first report counts.
package upstream
