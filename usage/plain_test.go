package usage

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestUsualUsageObjectsArePlain(t *testing.T) {
	f := func(in string, want bool) {
		t.Helper()
		if got := isPlainObject([]byte(in)); got != want {
			t.Errorf("isPlainObject(%s) = %v, want %v", in, got, want)
		}
		checkPlain(t, []byte(in))
	}
	f(documentedUsage, true)
	f(`{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40}`, true)
	f(" {\"a\" :\t0 , \"\":\r\n null,\"b\":{ } ,\"c\":\"d\u00e9\xff\"} ", true)
	f(`{"a":{"b":{"c":{}}}}`, true)
	// These are JSON, but not usual.
	f(`{"a":{"b":{"c":{"d":{}}}}}`, false)
	f(`{"a":1.5}`, false)
	f(`{"a":1e3}`, false)
	f(`{"a":-1}`, false)
	f(`{"a":true}`, false)
	f(`{"a":[]}`, false)
	f(`{"a\u005fb":1}`, false)
	f(`null`, false)
	// These are not.
	f(``, false)
	f(`{`, false)
	f(`{"a`, false)
	f(`{"a":`, false)
	f(`{"a":1`, false)
	f(`{"a":1}}`, false)
	f(`{"a":1} {}`, false)
	f(`{"a":1,}`, false)
	f(`{,"a":1}`, false)
	f(`{"a" 1}`, false)
	f(`{"a":1 2}`, false)
	f(`{"a":01}`, false)
	f(`{"a":00}`, false)
	f(`{"a":1"b":2}`, false)
	f(`{"a":nullnull}`, false)
	f(`{"a":nul}`, false)
	f(`{a:1}`, false)
	f("{\"a\nb\":1}", false)
	f("{\"a\x00\":1}", false)
	f("\v{}", false)
	f("\ufeff{}", false)
}

// checkPlain asserts what ParseTokens relies on: encoding/json agrees with whatever is called plain.
func checkPlain(t *testing.T, raw []byte) {
	t.Helper()
	if isPlainObject(raw) && !json.Valid(raw) {
		t.Fatalf("%q is called plain, but is no JSON", raw)
	}
}

// Every text that is one character away from a usage object, or breaks off early.
func TestNoDamagedUsageObjectIsPlain(t *testing.T) {
	usual := []byte(`{"prompt_tokens": 10, "parts": {"cached": null, "text":0},"by" :"x"} `)
	if !isPlainObject(usual) {
		t.Fatal("it is not plain itself")
	}
	for at := range usual {
		checkPlain(t, usual[:at])
		checkPlain(t, slices.Delete(slices.Clone(usual), at, at+1))
		damaged := slices.Clone(usual)
		longer := slices.Insert(slices.Clone(usual), at, 0)
		for c := range 256 {
			damaged[at], longer[at] = byte(c), byte(c)
			checkPlain(t, damaged)
			checkPlain(t, longer)
		}
	}
}

func FuzzIsPlainObject(f *testing.F) {
	for _, seed := range []string{documentedUsage, `{"a":{"b":{"c":{}}},"d":0,"e":"f","g":null}`, `{"a":01}`, "{", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(checkPlain)
}
