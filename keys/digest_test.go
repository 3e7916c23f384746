package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// What is stored of a secret is a promise to every later binary, and to whoever imports by SHA-256.
func TestDigest(t *testing.T) {
	f := func(d digester, want string) {
		t.Helper()
		first, imported := d.digest([]byte(sample)), d.stored(sha256.Sum256([]byte(sample)))
		if got := hex.EncodeToString(first[:]); got != want || imported != first {
			t.Errorf("got %s and %x, want %s", got, imported, want)
		}
	}
	// Both were computed by another implementation.
	f(newDigester(""), "1d1eb6fc67f7d8f6fa9ab66770ed3a2a0961b4403df8640e420de5b394846f3c")
	f(newDigester(testPepper), "f413b03d0c24291058cf3dde0f63ba1f712f28648404fa8b57d537ef7f7f80ca")
	if scheme := newDigester("").scheme; scheme != "sha256" {
		t.Errorf("got the scheme %q", scheme)
	}
	if scheme := newDigester(testPepper).scheme; scheme != "hmac-sha256-2:63376e52" {
		t.Errorf("got the scheme %q", scheme)
	}
}

// A pipeline that repeats an import gets the key that it was given, also from a later binary.
func TestDerivedID(t *testing.T) {
	f := func(d digester, want string) {
		t.Helper()
		if got := derivedID(d.digest([]byte(sample))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(newDigester(""), "key_gJI2TaQzDd3w")
	f(newDigester(testPepper), "key_eaIZqya2peGv")
}
