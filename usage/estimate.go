package usage

import (
	"math/bits"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer/codec"
)

// sampleBytes is how much of a text is counted. Beyond it the count is
// extrapolated by length, so that no text costs more than some milliseconds.
const sampleBytes = 64 << 10

// pieceBytes is how much text the tokenizer sees at once. Its pattern is quadratic
// on some whitespace (64 KiB of alternating newlines and spaces take it seconds),
// so a piece must be short; and a piece ends before a space that follows a word,
// where the encoding never joins, so that ordinary text loses nothing.
const pieceBytes = 512

// Estimator counts the tokens of text with the o200k_base vocabulary, for answers
// whose provider reports no usage. Other vocabularies differ by some percent; that
// is why a record says "estimated". It is safe for concurrent use.
type Estimator struct {
	once  sync.Once
	codec *codec.Codec
}

// NewEstimator returns an estimator. Its vocabulary (about 20 ms and some MiB) is
// loaded by the first count, or by Load.
func NewEstimator() *Estimator { return &Estimator{} }

// Load loads the vocabulary now, so that no request waits for it.
func (e *Estimator) Load() { e.once.Do(func() { e.codec = codec.NewO200kBase() }) }

// CountText counts the tokens of plain text; beyond 64 KiB the count is extrapolated.
func (e *Estimator) CountText(s string) int64 {
	sample := s[:min(len(s), sampleBytes)]
	return extrapolate(e.count(sample), int64(len(sample)), int64(len(s)))
}

// CountJSON counts the tokens of the bodies of JSON strings: still escaped, without
// their quotes. Each part is a text of its own. The caller passes text only, never
// base64. Beyond 64 KiB of all parts together the count is extrapolated. Parts that
// are not well-formed JSON are counted as they stand. The parts are not retained.
func (e *Estimator) CountJSON(parts ...[]byte) int64 {
	var counted, sampled, total int64
	var text []byte
	for _, part := range parts {
		total += int64(len(part))
		sample := part[:min(int64(len(part)), sampleBytes-sampled)]
		if len(sample) == 0 {
			continue
		}
		sampled += int64(len(sample))
		text = unescape(text[:0], sample)
		counted += e.count(string(text))
	}
	return extrapolate(counted, sampled, total)
}

// count counts a text that was cut to the sample already.
func (e *Estimator) count(s string) int64 {
	e.Load()
	var tokens int64
	for len(s) > 0 {
		n := pieceEnd(s)
		counted, err := e.codec.Count(s[:n])
		if err != nil {
			// The tokenizer gave up on this piece: four bytes per token is the usual rule of thumb.
			counted = (n + 3) / 4
		}
		tokens += int64(counted)
		s = s[n:]
	}
	return tokens
}

// pieceEnd is where the tokenizer may stop reading s: before the last space that
// follows a word, or else, on text without spaces, between two characters.
func pieceEnd(s string) int {
	if len(s) <= pieceBytes {
		return len(s)
	}
	for end := pieceBytes; end > pieceBytes/2; end-- {
		if s[end] == ' ' && !isSpace(s[end-1]) {
			return end
		}
	}
	for end := pieceBytes; end > pieceBytes-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return end
		}
	}
	return pieceBytes
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\r\n\v\f", c) >= 0 }

// extrapolate scales a count from the sampled bytes to all of them, rounded half up.
func extrapolate(counted, sampled, total int64) int64 {
	if sampled >= total {
		return counted
	}
	// A byte is at most a few tokens, so the quotient is at most a few times total, and hi is below sampled.
	hi, lo := bits.Mul64(uint64(counted), uint64(total))
	lo, carry := bits.Add64(lo, uint64(sampled/2), 0)
	quotient, _ := bits.Div64(hi+carry, lo, uint64(sampled))
	return int64(quotient)
}
