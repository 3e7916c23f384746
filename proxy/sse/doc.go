// Package sse answers one question: where do events begin and end in a provider's stream, and what did they say?
//
// A [Framer] cuts the bytes of one stream into whole events without copying them, so that the relay can forward, hold
// back or leave out an event as one piece of the provider's own bytes. A [Tap] listens to those events and remembers
// what billing and completion need: text, usage, finish reasons, the end marker, errors. Neither ever changes a byte.
//
// The framing follows the WHATWG HTML standard, section 9.2 (server-sent events), with one difference: every blank
// line ends an [Event], also where a browser would dispatch nothing, because each byte must belong to an event.
//
// A Framer and a Tap belong to one stream and one goroutine at a time; both are reusable through Reset.
package sse
