package keys

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"testing"
)

// sample is a well-formed secret that was never issued; its checksum was computed by another implementation.
const sample = "tg_0123456789ABCDEFGHIJKLMNOPQRSTUV" + "10DJZz"

func TestMintedForm(t *testing.T) {
	secret := mintSecret()
	if !regexp.MustCompile(`^tg_[0-9A-Za-z]{38}$`).Match(secret) || !wellFormed(secret) {
		t.Errorf("bad form: %d bytes, well-formed %v", len(secret), wellFormed(secret))
	}
	if id := mintID(); !regexp.MustCompile(`^key_[0-9A-Za-z]{12}$`).MatchString(id) {
		t.Errorf("bad id %q", id)
	}
	seen := make(map[string]bool)
	for range 10_000 {
		seen[string(mintSecret())] = true
		seen[mintID()] = true
	}
	if len(seen) != 20_000 {
		t.Errorf("only %d of 20000 are distinct", len(seen))
	}
}

// Every character must be equally likely: folding a byte modulo 62 would favour eight of them by a quarter.
func TestMintedCharactersAreUnbiased(t *testing.T) {
	const n = 620_000
	var counts [256]int
	for _, c := range appendRandom(nil, n) {
		counts[c]++
	}
	const each = float64(n / len(base62))
	chi := 0.0
	for _, c := range []byte(base62) {
		chi += math.Pow(float64(counts[c])-each, 2) / each
	}
	if chi > 150 { // 61 degrees of freedom: beyond 150 once in 10^9 runs; the fold gives about 9000
		t.Errorf("chi-squared %.0f: characters are not equally likely", chi)
	}
}

func TestWellFormed(t *testing.T) {
	f := func(secret string, want bool) {
		t.Helper()
		if got := wellFormed([]byte(secret)); got != want {
			t.Errorf("wellFormed(%q): got %v, want %v", secret, got, want)
		}
	}
	f(sample, true)
	f("", false)
	f("tg_", false)
	f(sample[:len(sample)-1], false)
	f(sample+"0", false)
	f(" "+sample[:len(sample)-1], false)
	f("Bearer "+sample, false)
	f(sample[:len(sample)-6]+"000000", false)
	f("tg_"+strings.Repeat("0", 38), false)
	f("tg_"+strings.Repeat("\x00", 38), false)
	f("tg_an-imported-secret-needs-another-prefix", false)
	f("TG_"+sample[3:], true) // an imported secret has whatever form its maker gave it
	f("sk-"+sample[3:], true)
	f("0123456789abcde", false)
	f("0123456789abcdef", true)
	f("!~0123456789abcd", true)
	f("0123456789abcde ", false)
	f("0123456789abcde\x7f", false)
	f("0123456789abcde\n", false)
	f("0123456789abcd\xc3\xa9", false)
	f(strings.Repeat("\x00", 41), false)
	f(strings.Repeat("x", 256), true)
	f(strings.Repeat("x", 257), false)
}

// A person mistypes one character or swaps two neighbours: a CRC-32 finds every such typo
// behind the prefix. What does not begin with it may be an imported secret.
func TestEveryTypoIsMalformed(t *testing.T) {
	for i := len(secretPrefix); i < len(sample); i++ {
		for c := range 256 {
			typo := []byte(sample)
			typo[i] = byte(c)
			if wellFormed(typo) != (typo[i] == sample[i]) {
				t.Errorf("wellFormed(%q): got %v", typo, wellFormed(typo))
			}
		}
		if i == len(secretPrefix) {
			continue
		}
		swapped := []byte(sample)
		swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
		if swapped[i-1] != swapped[i] && wellFormed(swapped) {
			t.Errorf("wellFormed(%q): a swap went unnoticed", swapped)
		}
	}
}

func FuzzWellFormed(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("tg_"))
	f.Add([]byte(sample[:len(sample)-1] + "é"))
	f.Add(bytes.Repeat([]byte("tg_"), 14))
	f.Add([]byte("sk-an-imported-secret"))
	f.Fuzz(func(t *testing.T, presented []byte) {
		before := bytes.Clone(presented)
		ok := wellFormed(presented)
		if !bytes.Equal(before, presented) {
			t.Fatal("the presented bytes were changed")
		}
		switch {
		case !ok:
			return
		case !bytes.HasPrefix(presented, []byte("tg_")):
			if len(presented) < 16 || len(presented) > 256 || !regexp.MustCompile(`^[!-~]*$`).Match(presented) {
				t.Fatalf("%q was taken for an imported secret", presented)
			}
			return
		}
		sum := checksum(presented[:len(presented)-secretChecksum])
		if len(presented) != 41 || !bytes.HasSuffix(presented, sum[:]) {
			t.Fatalf("%q was taken for a secret", presented)
		}
	})
}
