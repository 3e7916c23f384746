package usage

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer/codec"
)

const prose = "The quick brown fox jumps over the lazy dog, and then it rests under the old oak tree for an hour or two. "

func TestCountText(t *testing.T) {
	e := NewEstimator()
	f := func(text string, want int64) {
		t.Helper()
		if got := e.CountText(text); got != want {
			t.Errorf("CountText(%.40q) = %d, want %d", text, got, want)
		}
	}
	// The figures are those of OpenAI's o200k_base.
	f("", 0)
	f("hello world", 2)
	f("antidisestablishmentarianism", 6)
	f("2 + 2 = 4", 7)
	f("お誕生日おめでとう", 8)
	f("<|endoftext|>", 7)
	f("\xff\xfe", 1)
}

// Cutting a text into pieces before a space must not change its count, nor cost a
// percent where there are no spaces.
func TestPiecesCountLikeTheWhole(t *testing.T) {
	e := NewEstimator()
	whole := codec.NewO200kBase()
	f := func(name, text string, tolerance int64) {
		t.Helper()
		want, err := whole.Count(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.CountText(text); got < int64(want)-tolerance || got > int64(want)+tolerance {
			t.Errorf("%s: %d tokens in pieces, %d in one", name, got, want)
		}
	}
	f("prose", strings.Repeat(prose, 300), 0)
	f("code", strings.Repeat("func main() {\n\tfor i := range 10 {\n\t\tfmt.Println(i, \"it's\")\n\t}\n}\n\n", 300), 20)
	f("Chinese", strings.Repeat("量子力学是研究微观世界的物理学分支,它和相对论一起是现代物理学的基础。", 200), 80)
}

func TestLongTextIsExtrapolatedByLength(t *testing.T) {
	e := NewEstimator()
	text := strings.Repeat(prose, 40*sampleBytes/len(prose))
	perProse := e.CountText(strings.Repeat(prose, 100))
	want := perProse * int64(len(text)) / int64(100*len(prose))
	for name, got := range map[string]int64{
		"CountText":       e.CountText(text),
		"CountJSON":       e.CountJSON([]byte(text)),
		"CountJSON parts": e.CountJSON([]byte(text[:1000]), nil, []byte(text[1000:70000]), []byte(text[70000:])),
	} {
		if got < want*99/100 || got > want*101/100 {
			t.Errorf("%s = %d, want %d within 1 %%", name, got, want)
		}
	}
}

func TestExtrapolateRoundsHalfUp(t *testing.T) {
	f := func(counted, sampled, total, want int64) {
		t.Helper()
		if got := extrapolate(counted, sampled, total); got != want {
			t.Errorf("%d tokens in %d of %d bytes make %d, want %d", counted, sampled, total, got, want)
		}
	}
	f(0, 0, 0, 0)
	f(7, 10, 10, 7)
	f(1, 4, 10, 3)
	f(1, 10, 14, 1)
	f(65536, 65536, 1<<62, 1<<62)
}

func TestCountJSONCountsTheTextBehindTheEscapes(t *testing.T) {
	e := NewEstimator()
	f := func(body, text string) {
		t.Helper()
		if got, want := e.CountJSON([]byte(body)), e.CountText(text); got != want {
			t.Errorf("CountJSON(%s) = %d, want %d as of %q", body, got, want, text)
		}
	}
	f(`hello\nworld \"quoted\"`, "hello\nworld \"quoted\"")
	f(`\u91cf\u5b50\u529b\u5b66 \ud83d\ude00`, "量子力学 😀")
	f(``, "")
}

// The shapes that are worst for the tokenizer's pattern and for its merging must not
// take long: a count runs while a client waits for its last byte. They are held
// against prose, so that neither a busy machine nor the race detector matters.
func TestWorstCaseTextIsCountedQuickly(t *testing.T) {
	const size = 32 << 10
	e := NewEstimator()
	took := func(text string) time.Duration {
		fastest := time.Hour
		for range 5 { // on a busy machine, the fastest tells most
			began := time.Now()
			if e.CountText(text) == 0 {
				t.Fatalf("%.20q: no tokens", text)
			}
			fastest = min(fastest, time.Since(began))
		}
		return fastest
	}
	usual := took(strings.Repeat(prose, size/len(prose)))
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, text := range map[string]string{
		"one letter":          strings.Repeat("a", size),
		"one capital":         strings.Repeat("A", size),
		"spaces":              strings.Repeat(" ", size),
		"spaces and a letter": strings.Repeat(" ", size-1) + "x",
		"newlines and spaces": strings.Repeat("\n ", size/2),
		"returns":             strings.Repeat("\r/", size/2),
		"apostrophes":         strings.Repeat("A'", size/2),
		"marks":               strings.Repeat("\u0301", size/2),
		"digits":              strings.Repeat("7", size),
		"noise":               string(noise),
	} {
		// The worst is about 5 times prose; text that is not cut into pieces would take hundreds of times as long.
		if worst := took(text); worst > 60*usual {
			t.Errorf("32 KiB of %s took %s, and of prose %s", name, worst, usual)
		}
	}
}

func TestEstimatorIsSafeForConcurrentUse(t *testing.T) {
	e := NewEstimator()
	want := NewEstimator().CountText(prose)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if got := e.CountText(prose); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	all.Wait()
}

func TestUnescape(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(unescape(nil, []byte(body))); got != want {
			t.Errorf("unescape(%s) = %q, want %q", body, got, want)
		}
	}
	f(`plain`, "plain")
	f(`\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t")
	f(`\u0041\u00e9\u4E2D`, "Aé中")
	f(`\ud83d\ude00!`, "😀!")
	// Half a pair is a replacement character, and what follows is kept.
	f(`\ud83dx`, "\uFFFDx")
	f(`\ude00\ud83d`, "\uFFFD\uFFFD")
	f(`\ud83d\u0041`, "\uFFFDA")
	// What is no escape stays as it stands.
	f(`\x\`, `\x\`)
	f(`\u12`, `\u12`)
	f(`\u12g4`, `\u12g4`)
	f("\xff\xc3", "\xff\xc3")
}

func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{`a\nb`, `\ud83d\ude00`, `\ud83d`, `\`, `\u`, `\\\`, "\xff", `\u0000`, "\xe4\xb8"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := string(unescape(nil, body))
		var want string
		if utf8.Valid(body) && json.Unmarshal([]byte(`"`+string(body)+`"`), &want) == nil && got != want {
			t.Fatalf("unescape(%q) = %q, want %q", body, got, want)
		}
		// What has only begun is less than one escape.
		end := wholeCharacters(body)
		if end < 0 || end > len(body) || len(body)-end > unicodeEscapeLen {
			t.Fatalf("wholeCharacters(%q) = %d of %d", body, end, len(body))
		}
	})
}

func TestWholeCharacters(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := body[:wholeCharacters([]byte(body))]; got != want {
			t.Errorf("wholeCharacters(%q) keeps %q, want %q", body, got, want)
		}
	}
	f(`abc`, `abc`)
	f(``, ``)
	f(`abc\`, `abc`)
	f(`abc\\`, `abc\\`)
	f(`abc\\\`, `abc\\`)
	f(`abc\n`, `abc\n`)
	f(`abc\u4e`, `abc`)
	f(`abc\u4e2d`, `abc\u4e2d`)
	f(`abc\ud83d`, `abc`)
	f(`abc\ud83d\`, `abc\ud83d`)
	f(`abc\ud83d\ude00`, `abc\ud83d\ude00`)
	f(`abc\\u4e`, `abc\\u4e`)
	f("ab\xe4\xb8\xad", "ab\xe4\xb8\xad")
	f("ab\xe4\xb8", "ab")
	f("ab\xf0\x9f\x98", "ab")
	f("ab\xff", "ab\xff")
}

func BenchmarkCountText(b *testing.B) {
	e := NewEstimator()
	e.Load()
	text := strings.Repeat(prose, sampleBytes/len(prose))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		e.CountText(text)
	}
}
