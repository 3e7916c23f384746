package usage

import "bytes"

const (
	// eagerBytes is how much escaped text an eager meter lets gather before it counts.
	eagerBytes = 4 << 10
	// begunBytes is how much escaped text without a space SoFar takes for a word that has only begun: what is written
	// without spaces must be counted, too.
	begunBytes = 1 << 10
)

// Counting says when a Meter counts.
type Counting uint8

const (
	// CountAtEnd keeps the text, 64 KiB at most, and counts only when it is asked: for
	// answers whose provider is expected to report usage.
	CountAtEnd Counting = iota
	// CountEagerly counts every 4 KiB or so as the text passes and forgets it: for
	// answers whose provider reports nothing, so that little is left for the end.
	CountEagerly
)

// Meter counts the text of one answer as it passes. It keeps at most 64 KiB of it;
// what an answer has beyond its first 64 KiB is extrapolated by length. A Meter
// belongs to one goroutine; Reset makes it ready for another answer.
type Meter struct {
	estimator *Estimator
	counting  Counting
	kept      []byte // escaped text that is in the sample and not yet counted
	counted   int64  // tokens of the text already dropped
	sampled   int64  // bytes counted or kept
	total     int64  // bytes added
}

// NewMeter returns a meter for one answer at a time.
func (e *Estimator) NewMeter(counting Counting) *Meter {
	return &Meter{estimator: e, counting: counting}
}

// AddJSON takes the body of a JSON string: still escaped, without its quotes. Bodies
// that follow each other are one text. The bytes are copied; once the meter's memory
// has grown, a call allocates nothing (an eager meter does whenever it counts).
func (m *Meter) AddJSON(body []byte) {
	m.total += int64(len(body))
	for len(body) > 0 && m.sampled < sampleBytes {
		// A body may be as large as an answer; it is taken in steps, so that an eager meter stays small.
		n := min(int64(len(body)), sampleBytes-m.sampled, eagerBytes)
		m.kept = append(m.kept, body[:n]...)
		m.sampled += n
		body = body[n:]
		if m.counting == CountEagerly && len(m.kept) >= eagerBytes {
			m.countAhead(2 * eagerBytes)
		}
	}
}

// countAhead counts what is kept up to its last word, and keeps the rest. A rest of
// that length or more is no word, and is counted up to its last whole character.
func (m *Meter) countAhead(begun int) {
	end := lastWord(m.kept)
	if len(m.kept)-end >= begun {
		end = wholeCharacters(m.kept)
	}
	if end == 0 {
		return
	}
	m.counted += m.estimator.CountJSON(m.kept[:end])
	m.kept = append(m.kept[:0], m.kept[end:]...)
}

// lastWord is where the last space that follows a word stands in escaped text; 0 when there is none.
func lastWord(text []byte) int {
	for end := len(text); ; {
		end = bytes.LastIndexByte(text[:end], ' ')
		if end < 0 {
			return 0
		}
		if end > 0 && text[end-1] != ' ' && !endsInEscape(text[:end]) {
			return end
		}
	}
}

// endsInEscape says whether text may end in an escaped newline, tab or return.
func endsInEscape(text []byte) bool {
	return len(text) >= 2 && text[len(text)-2] == '\\' && bytes.IndexByte([]byte("nrt"), text[len(text)-1]) >= 0
}

// Tokens is the count of everything added so far, extrapolated beyond 64 KiB. It may
// be called at any time; text that was counted is not counted again.
func (m *Meter) Tokens() int64 {
	if len(m.kept) > 0 {
		m.counted += m.estimator.CountJSON(m.kept)
		m.kept = m.kept[:0]
	}
	return extrapolate(m.counted, m.sampled, m.total)
}

// SoFar is the count of the whole words added so far, extrapolated as Tokens does: how
// far an answer that goes on has come. A word that has only begun is left for later, so
// that asking often changes what Tokens returns in the end by a token per call at most.
// It counts what was added since it was last asked, which takes some microseconds for a
// hundred bytes.
func (m *Meter) SoFar() int64 {
	m.countAhead(begunBytes)
	return extrapolate(m.counted, m.sampled, m.total)
}

// Bytes is how many bytes of escaped text were added.
func (m *Meter) Bytes() int64 { return m.total }

// Reset forgets everything added and keeps the memory for the next answer.
func (m *Meter) Reset() {
	m.kept = m.kept[:0]
	m.counted, m.sampled, m.total = 0, 0, 0
}
