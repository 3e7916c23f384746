package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// jsonFragment is the size in bytes of a token of JSON.
const jsonFragment = 8

func vocabulary() []string {
	return strings.Fields(`amber answer archive autumn balance beacon bridge bright candle careful carries
		circle clear clever coast copper current daily distant early engine evening every falls field
		follows forest fragile garden gentle glass gold gradual harbour hidden horizon iron island keeps
		lantern leaf letter level light little long marble market measure mirror morning mountain narrow
		near north number ocean open orchard other paper patient pattern quiet rain reaches reason river
		road salt second shadow signal silver simple small south station steady stone story summer table
		thread tide tower travels turns under upon useful valley village voice water weather window winter`)
}

// diceFor are the pseudo-random numbers of one choice. They depend on what is
// asked, not on how (limits, stops, stream), so that the same text can be had
// whole and cut.
func diceFor(seed uint64, p Provider, q *ask, choice int) *rand.Rand {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s %s %d %d", seed, p, q.model, q.seed, choice)
	for _, said := range q.prompt {
		_, _ = fmt.Fprintf(h, " %d:", len(said))
		_, _ = io.WriteString(h, said)
	}
	sum := h.Sum(nil)
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])))
}

// say is the text of a choice, in pieces of one token.
func (q *ask) say(b Behaviour, dice *rand.Rand) []string {
	said := b.Text
	switch {
	case said != "":
	case b.ChunkBytes > 0:
		enough := b.Tokens * b.ChunkBytes
		said = sentences(q.sight(), dice, func(_, length int) bool { return length >= enough })
		said = said[:enough]
	default:
		said = sentences(q.sight(), dice, func(words, _ int) bool { return words >= b.Tokens })
	}
	if b.ChunkBytes > 0 {
		return fragments(said, b.ChunkBytes)
	}
	return wordsOf(said)
}

// sentences begins with the opening and goes on until enough words, or bytes,
// are said.
func sentences(opening string, dice *rand.Rand, enough func(words, length int) bool) string {
	var (
		out      strings.Builder
		all      = vocabulary()
		words    = len(wordsOf(opening))
		sentence = 0 // words left in this sentence; 0: a new one begins
	)
	out.WriteString(opening)
	for !enough(words, out.Len()) {
		word := all[dice.IntN(len(all))]
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		if sentence == 0 {
			sentence = 5 + dice.IntN(8)
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		out.WriteString(word)
		words++
		if sentence--; sentence == 0 || enough(words, out.Len()+1) {
			out.WriteByte('.')
			sentence = 0
		}
	}
	return out.String()
}

// sight says which media were received: "I see 1 image (image/png, 68 bytes)."
func (q *ask) sight() string {
	var seen []string
	for _, kind := range []string{"image", "audio", "video"} {
		var found []string
		for _, m := range q.media {
			switch {
			case m.kind() != kind:
			case m.mime == "":
				found = append(found, "by address")
			default:
				found = append(found, fmt.Sprintf("%s, %d bytes", m.mime, m.bytes))
			}
		}
		if len(found) > 0 {
			seen = append(seen, fmt.Sprintf("%s (%s)", count(len(found), kind), strings.Join(found, "; ")))
		}
	}
	if len(seen) == 0 {
		return ""
	}
	return "I see " + strings.Join(seen, " and ") + "."
}

func count(n int, kind string) string {
	if kind == "audio" {
		kind = "audio clip"
	}
	if n == 1 {
		return "1 " + kind
	}
	return fmt.Sprintf("%d %ss", n, kind)
}

// wordsOf cuts a text before each space; together the pieces are the text.
func wordsOf(text string) []string {
	pieces := make([]string, 0, strings.Count(text, " ")+1)
	for text != "" {
		end := strings.IndexByte(text[1:], ' ') + 1
		if end == 0 {
			end = len(text)
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	return pieces
}

// fragments cuts a text into pieces of size bytes, or a little less where a
// character would be torn, and never less than one character.
func fragments(text string, size int) []string {
	pieces := make([]string, 0, len(text)/size+1)
	for len(text) > size {
		end := size
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		if end == 0 {
			_, end = utf8.DecodeRuneInString(text)
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	if text != "" {
		pieces = append(pieces, text)
	}
	return pieces
}
