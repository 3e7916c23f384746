package upstream

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContradictions has options that are about a field which the contract does not take.
func TestContradictions(t *testing.T) {
	f := func(contract string, want ...string) {
		t.Helper()
		got := ""
		if err := parse(t, "providers: {p: {contract: "+contract+", endpoints: [{url: 'https://h/v1'}]}}").Validate(); err != nil {
			got = strings.ReplaceAll(err.Error(), "providers.p.contract.", "")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%s\n%s", contract, diff)
		}
	}
	f(`{base: evolink, ranges: {n: {most: 4}}, words: {reasoning_effort: [low]}, max_stops: 4, stop: array, extensions: [any], other_tools: allow}`,
		`ranges.n: is about "n", which the evolink contract does not take; leave it out, or put "n" into allow`,
		`words.reasoning_effort: is about "reasoning_effort", which the evolink contract does not take; leave it out, or put "reasoning_effort" into allow`,
		`max_stops: is about "stop", which the evolink contract does not take; leave it out, or put "stop" into allow`,
		`stop: is about "stop", which the evolink contract does not take; leave it out, or put "stop" into allow`,
		`extensions: is about "extra_body", which the evolink contract does not take; leave it out, or put "extra_body" into allow`,
		`other_tools: is about "tools", which the evolink contract does not take; leave it out, or put "tools" into allow`)
	f(`{base: openai, deny: [n, stop], ranges: {n: {most: 4}}, max_stops: 4}`,
		`ranges.n: is about "n", which is in deny; leave it out of one of them`,
		`max_stops: is about "stop", which is in deny; leave it out of one of them`)
	f(`{base: theturbo, deny: [max_tokens], ranges: {max_tokens: {most: 9}}}`,
		`ranges.max_tokens: is about "max_tokens", which is in deny; leave it out of one of them`)
	f(`{base: theturbo, ranges: {max_completion_tokens: {most: 9}}}`) // sent as max_tokens
	f(`{base: evolink, allow: [n, stop], ranges: {n: {most: 4}}, max_stops: 4}`)
	f(`{base: openai, ranges: {top_k: {most: 4}}}`) // open: it takes what it does not list
	f(`{base: evolink, ranges: {n: {}}, words: {reasoning_effort: []}, extensions: [none], other_tools: deny}`)
}

// TestPlainWords takes for a contract's words what the scan can tell of a request, and nothing else.
func TestPlainWords(t *testing.T) {
	f := func(word string, want bool) {
		t.Helper()
		c := ContractConfig{Base: "starmagic", Words: map[string][]string{"reasoning_effort": {word}}}
		p := ProviderConfig{Contract: c, Endpoints: []EndpointConfig{{URL: "https://h/v1"}}}
		if err := (Config{Providers: map[string]ProviderConfig{"p": p}}).Validate(); (err == nil) != want {
			t.Errorf("%q: %v", word, err)
		}
	}
	for _, word := range []string{"low", "x-high", "9", "_a.B", ".", "-", strings.Repeat("x", 64)} {
		f(word, true)
	}
	for _, word := range []string{"", " ", "a b", "a/b", "a+b", "höher", "low\n", strings.Repeat("x", 65)} {
		f(word, false)
	}
}

func TestStreamUsageMistakes(t *testing.T) {
	f := func(options, want string) {
		t.Helper()
		got := ""
		if err := parse(t, "providers: {p: {"+options+", endpoints: [{url: 'https://h/v1'}]}}").Validate(); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", options, diff)
		}
	}
	f(`contract: {base: theturbo, stream_usage: inject}`, "")
	f(`contract: {base: theturbo, done: never}`, `providers.p.contract.done: must be required or optional, got "never"`)
	f(`contract: {base: theturbo, allow: [stream_options]}, stream_usage: inject`, "")
	f(`contract: {base: theturbo, stream_usage: always}`,
		`providers.p.contract.stream_usage: must be inject, pass or never, got "always"`)
	f(`contract: {base: starmagic, stream_usage: pass, deny: [stream_options]}`,
		`providers.p.contract.stream_usage: must not be pass: stream_options is in deny; leave it out of one of them`)
	f(`contract: {base: starmagic, stream_usage: pass}, stream_usage: inject`,
		`providers.p.stream_usage: is inject, and contract.stream_usage is pass; leave one of them out`)
	f(`contract: {base: openai, deny: [stream_options]}, stream_usage: inject`,
		`providers.p.stream_usage: must not be inject: stream_options is in contract.deny; leave it out of one of them`)
	f(`contract: {base: openai, deny: [stream_options]}, stream_usage: pass`,
		`providers.p.stream_usage: must not be pass: stream_options is in contract.deny; leave it out of one of them`)
	f(`contract: {base: openai, deny: [stream_options]}, stream_usage: never`, "")
	f(`contract: {base: theturbo, allow: [seed]}, stream_usage: pass`,
		`providers.p.stream_usage: must not be pass: the theturbo contract does not document stream_options; use never, or leave it out and say that the provider takes it: contract: {base: theturbo, allow: [seed], stream_usage: pass}`)
	f(`contract: openai, unsupported: ignore`, `providers.p.unsupported: must be skip or drop, got "ignore"`)
}
