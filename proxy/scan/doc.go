// Package scan reads the JSON body of a chat completion request. It answers
// what the gateway needs to know of the request, and proves that every other
// reader of the same bytes sees the same.
//
// Parse is one strict pass (RFC 8259) that notes byte offsets; nothing is
// decoded into a tree and nothing is encoded again. What makes two JSON readers
// disagree is refused rather than resolved: duplicate fields, also after
// unescaping and case folding, wrong spellings of known fields, lone
// surrogates, invalid UTF-8, infinite numbers. A body priced as one model can
// therefore not be served as another.
//
// The same pass notes what the request needs of a provider: the top-level
// members with their numbers, and as Loose every nested member that some
// provider does not take. Rewrite changes, renames, removes and appends members
// at the noted offsets and leaves every other byte alone.
//
// A Document belongs to one goroutine at a time and is made to be pooled; the
// package keeps no state of its own.
package scan
