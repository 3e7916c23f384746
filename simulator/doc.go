// Package simulator plays the three providers, StarMagic, TheTurbo and Evolink,
// strictly by their own reference pages. It answers one question: would the
// documented provider have accepted this request, and what exactly would it
// have sent? It imports nothing of the product, so that agreeing with it proves
// something.
//
// # Reading the pages
//
// A field that a page does not document is refused, and so is a value of
// another type than the documented one: a null where a number is documented
// is no number. A range that a page states is enforced. Where it states none,
// only values that mean nothing are refused: fewer than one token, fewer than
// one answer, a negative temperature, a probability above one. Where a page
// leaves the shape of a thing to OpenAI's format (the parts of a message, the
// chunks of a stream, the error object), that format is played.
//
// # What a token is
//
// Figures are exact by definition. One streamed piece of content (a word with
// its leading space, a fragment of JSON, or the opening of a tool call) is one
// completion token. Reasoning tokens are never shown, come once per choice, are
// part of the completion tokens and count against max_tokens. Each
// whitespace-separated word of the messages is one prompt token, each media
// part is MediaTokens of them, and a request has at least one. Roles, tool
// definitions and schemas are free.
//
// The text depends on the seed, the provider, the model, the messages and the
// request's own seed, and on nothing else: asking again with other limits or
// stop sequences cuts the same text.
//
// # Sick providers
//
// A Fault makes chosen requests fail in one of the ways in which providers do:
// refusals, silence, broken connections, answers that end too early, too late
// or in nonsense, wrong figures. A Style changes how a healthy stream is written
// and nothing that it says. The truth log tells of every request what was
// planned, what left, how it ended, and when the client was seen to leave.
//
// Deviations are what a provider does otherwise than its page says, for as long
// as it lives: a field more or less, another range, other errors, other usage.
//
// Load generators need a provider that costs next to nothing and judges
// nothing: that is StartFast's.
//
// A Simulator and everything it hands out are safe for concurrent use.
package simulator
