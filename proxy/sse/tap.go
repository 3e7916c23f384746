package sse

import "bytes"

// A Kind says what one event meant.
type Kind uint8

// Where an event means several things, it is the last of them in this list.
const (
	KindComment Kind = iota // no data: comments, blank lines, or only other fields
	KindEmpty               // a chunk that says nothing yet: the role, an empty delta
	KindUsage               // a chunk without choices and with a usage object
	KindContent             // a chunk with text, reasoning, refusal, tool calls or media; a fragment of an oversize event
	KindFinish              // a chunk with a finish_reason; when it brought text too, ContentBytes has grown
	KindDone                // [DONE]
	KindInvalid             // data that is neither [DONE] nor, by its structure, a JSON object (ValidChunk asks for more)
	KindError               // a payload with an error on top, or an event named error
)

func (k Kind) String() string {
	switch k {
	case KindComment:
		return "comment"
	case KindEmpty:
		return "empty"
	case KindUsage:
		return "usage"
	case KindContent:
		return "content"
	case KindFinish:
		return "finish"
	case KindDone:
		return "done"
	case KindInvalid:
		return "invalid"
	case KindError:
		return "error"
	}
	return "unknown"
}

// A TextSink takes the text of an answer as it comes, so that its tokens can be estimated.
type TextSink interface {
	// AddJSON takes the inside of a JSON string: escaped, without its quotes. The slice is valid during the call only.
	AddJSON(escaped []byte)
}

const (
	maxLabel       = 128
	keepUsageBytes = 4 << 10 // a larger buffer is not kept for the next stream
)

// A Tap listens to the events of one stream and remembers what billing and completion need. It reads each payload once,
// without decoding it and without allocating, and takes a provider's word only where a provider puts it: usage and
// errors on top of the payload, a finish_reason on a choice. The zero value, like a Reset, is ready for use.
type Tap struct {
	// Text receives the text of the answer, choice by choice as it comes; nil: nobody counts.
	Text TextSink

	contentBytes int64
	ended        bitset
	done, over   bool
	hasUsage     bool
	usage        []byte
	id, model    []byte
	reasons      reasons
	frame        frame
	scan         oversize
}

// Reset prepares the Tap for another stream.
func (t *Tap) Reset(text TextSink) {
	usage := t.usage[:0]
	if cap(usage) > keepUsageBytes {
		usage = nil
	}
	*t = Tap{Text: text, usage: usage, id: t.id[:0], model: t.model[:0], frame: frame{head: t.frame.head[:0], tail: t.frame.tail[:0]}}
}

// Observe takes note of one event and says what it is. Pass every event once and in order, fragments included.
func (t *Tap) Observe(e Event) Kind {
	switch {
	case e.Fragment != Whole:
		return t.observeFragment(e)
	case e.Data == nil:
		return KindComment
	case isDone(e.Data):
		t.done = true
		return KindDone
	}
	kind := t.observeChunk(e.Data)
	if string(e.Name) == "error" {
		return KindError
	}
	return kind
}

// isDone recognises the end marker as the OpenAI clients do, by how the payload begins.
func isDone(data []byte) bool {
	const marker = "[DONE]"
	if len(data) > 0 && data[0] <= ' ' {
		data = bytes.TrimLeft(data, " \t")
	}
	return len(data) >= len(marker) && string(data[:len(marker)]) == marker
}

func (t *Tap) observeChunk(data []byte) Kind {
	c := chunk{cursor: cursor{data: data}, tap: t}
	c.read()
	if c.bad {
		return KindInvalid
	}
	c.remember()
	t.id = keepLabel(t.id, c.id)
	t.model = keepLabel(t.model, c.model)
	t.keepUsage(c.usage)
	if c.failed {
		return KindError
	}
	t.ended.addAll(c.ended)
	t.reasons |= c.reasons
	switch {
	case !c.ended.empty():
		return KindFinish
	case c.content:
		return KindContent
	case c.choices == 0 && c.usage != nil:
		return KindUsage
	}
	return KindEmpty
}

// keepUsage remembers an object with members: the last one wins, for providers that send one in every chunk count up.
// An empty object says nothing, and must not be mistaken for a bill of zero.
func (t *Tap) keepUsage(raw []byte) {
	if bytes.IndexByte(raw, ':') < 0 {
		return
	}
	t.hasUsage = true
	t.usage = append(t.usage[:0], raw...)
}

// keepLabel remembers the first label that says something. Labels go to records and traces that people read, so that
// only plain characters are taken.
func keepLabel(kept, raw []byte) []byte {
	if len(kept) > 0 {
		return kept
	}
	for _, b := range raw {
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return kept
		}
	}
	return append(kept, raw[:min(len(raw), maxLabel)]...)
}

// Usage returns the last usage object that said something (neither null nor empty), as the provider sent it; nil when
// none came, which means unknown and not zero. Only a usage on top of a payload counts: that of a single choice is not
// the answer's. The bytes are the Tap's own and valid until the next Observe or Reset.
func (t *Tap) Usage() []byte {
	if !t.hasUsage {
		return nil
	}
	return t.usage
}

// Done reports whether [DONE] came.
func (t *Tap) Done() bool { return t.done }

// Finished reports whether choices 0 to n-1 each had a finish_reason (a string that is not empty). A request asks for
// at least one choice, so that n below 1 means 1; no answer has more than 128.
func (t *Tap) Finished(n int) bool { return t.ended.firstMissing() >= max(n, 1) }

// ContentBytes is the length of the text so far, all choices together, in bytes of escaped JSON.
func (t *Tap) ContentBytes() int64 { return t.contentBytes }

// ID is the provider's id of the answer, at most 128 bytes, empty when none came. It is for records only: two providers
// document the same id, and a provider may send anything.
func (t *Tap) ID() string { return string(t.id) }

// Model is the model that the provider says has answered, under the same rules as ID.
func (t *Tap) Model() string { return string(t.model) }

// FinishReasons lists the finish reasons that came, each once, in the order of OpenAI's reference; reasons that it does
// not know, and those inside an oversize event, are left out.
func (t *Tap) FinishReasons() []string { return t.reasons.list() }

// Over reports whether an oversize event passed: one that was never in memory whole.
func (t *Tap) Over() bool { return t.over }

// ValidChunk reports whether data is a JSON object without an error on top, which the first payload of a stream must be
// before anything is sent to the client. It checks the whole grammar, and is meant to be called once per stream.
func ValidChunk(data []byte) bool {
	if !valid(data) {
		return false
	}
	c := chunk{cursor: cursor{data: data}, tap: new(Tap)}
	c.read()
	return !c.bad && !c.failed
}
