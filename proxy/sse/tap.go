package sse

// A Kind says what one event meant.
type Kind uint8

const (
	KindComment Kind = iota // no data: comments, blank lines, fields only
	KindEmpty               // a chunk without text: the role, an empty delta
	KindContent             // a chunk with text, reasoning, refusal or tool calls; a fragment of an oversize event
	KindFinish              // a chunk with a finish_reason; it may carry content too (ContentBytes grew)
	KindUsage               // a chunk without choices and with a usage object
	KindDone                // [DONE]
	KindError               // a payload with an error on top, or an event named error
	KindInvalid             // data that is neither a JSON object nor [DONE]
)

// A TextSink takes the answer's text as it comes, for an estimate of its tokens.
type TextSink interface {
	// AddJSON takes the inside of a JSON string: escaped, without its quotes. It must not keep the slice.
	AddJSON(escaped []byte)
}

// A Tap listens to the events of one stream.
type Tap struct {
	// Text receives the text of the answer; nil: nobody counts.
	Text TextSink
}

// Reset prepares the Tap for another stream.
func (t *Tap) Reset(text TextSink) { t.Text = text }

// Observe takes note of one event and says what it is.
func (t *Tap) Observe(e Event) Kind { return KindComment }

// Usage returns the last usage object that was not null or empty, as sent; nil: none came. Valid until Reset.
func (t *Tap) Usage() []byte { return nil }

// Done reports whether [DONE] came.
func (t *Tap) Done() bool { return false }

// Finished reports whether each of n choices (at least 1) had a finish_reason.
func (t *Tap) Finished(n int) bool { return false }

// ContentBytes is the length of the text so far, in bytes of escaped JSON.
func (t *Tap) ContentBytes() int64 { return 0 }

// ID is the provider's id of the answer, at most 128 bytes, empty when none came: for records, never a key.
func (t *Tap) ID() string { return "" }

// Over reports whether an oversize event passed: its text was not counted.
func (t *Tap) Over() bool { return false }

// ValidChunk reports whether data is a JSON object without an error on top: what the first event of a stream must be.
func ValidChunk(data []byte) bool { return false }
