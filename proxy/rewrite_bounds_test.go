package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tollgate/proxy/scan"
	"tollgate/upstream"
	"tollgate/usage"
)

// TestManyDroppedFields has a client send as many unknown fields as a body may
// have: few of them are named, and none is kept.
func TestManyDroppedFields(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"model":"m","messages":[{"role":"user","content":"x"`)
	for i := range scan.MaxLoose - 1 {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	b.WriteString(`}]}`)
	version, ok := versionFor(contractOf("starmagic"), b.String())
	if want := `{"model":"m","messages":[{"role":"user","content":"x"}]}`; !ok || string(version.body) != want {
		t.Fatalf("sent %.200s", version.body)
	}
	if n := len(version.dropped); n != mostDropped+1 {
		t.Errorf("%d names are kept, want %d", n, mostDropped+1)
	}
	if header := droppedHeader(version.dropped); strings.Count(header, ",") != mostDropped || !strings.HasSuffix(header, ", ...") {
		t.Errorf("x-tollgate-dropped is %q", header)
	}
}

// TestTheLimitThatWasSent has a provider report more than the limit it was sent
// allows: the tenant does not pay for it, whatever the other limit was.
func TestTheLimitThatWasSent(t *testing.T) {
	r := newRig(t, answering(strings.Replace(someAnswer, `"completion_tokens":2,"total_tokens":5`, `"completion_tokens":9000,"total_tokens":9003`, 1)), rigOptions{memory: true})
	f := func(model, limits string, source usage.Source, completion int64) {
		t.Helper()
		got := r.ask(`{"model":"` + model + `","messages":[{"role":"user","content":"x"}],` + limits + `}`)
		if record := r.record(got); got.status != 200 || record.Source != source || record.Completion != completion {
			t.Errorf("%s of %s: billed %s, %d tokens", limits, model, record.Source, record.Completion)
		}
	}
	f("gemini-2.0-flash", `"max_tokens":10,"max_completion_tokens":10000`, usage.SourceRejected, 1)
	f("gemini-2.0-flash", `"max_tokens":10000,"max_completion_tokens":10`, usage.SourceRejected, 1)
	f("gemini-2.0-flash", `"max_tokens":10000`, usage.SourceUpstream, 9000)
	f("gemini-2.0-flash", `"max_completion_tokens":4500,"n":2`, usage.SourceUpstream, 9000)
	f("gemini-2.0-flash", `"max_completion_tokens":10`, usage.SourceRejected, 1)
	f("gemini-2.5-flash-lite", `"max_tokens":10,"max_completion_tokens":10000`, usage.SourceUpstream, 9000) // it may go by either
	f("any", `"max_tokens":10`, usage.SourceRejected, 1)
}

// TestTrailIsBounded keeps a trail below what a record takes, whatever clients
// call their fields and however many candidates there are.
func TestTrailIsBounded(t *testing.T) {
	provider := &upstream.Provider{Name: strings.Repeat("p", 64)}
	candidate := &upstream.Candidate{Provider: provider, Endpoint: &upstream.Endpoint{URL: "https://" + strings.Repeat("h", 3000), Credential: "#1 ...abcd"}, Model: strings.Repeat("m", 128)}
	var tr trail
	for range 10 {
		a := tried{candidate: candidate, status: 503, took: time.Hour}
		for i := range 100 {
			a.dropped = append(a.dropped, fmt.Sprintf("%s%02d", strings.Repeat("f", 62), i))
			if i == 1 {
				a.dropped = append(a.dropped, "user", "messages.name", "messages.content.tell-me-a.secret")
			}
		}
		tr.attempts = append(tr.attempts, a)
	}
	for range 64 {
		tr.passed = append(tr.passed, upstream.Passed{Provider: provider, Candidate: candidate})
	}
	const most = 8 << 10 // of usage.Record
	text := tr.encode(new(usage.Record))
	var view Trail
	if err := json.Unmarshal([]byte(text), &view); err != nil || len(text) > most {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if len(view.Attempts) != 10 || strings.Join(view.Attempts[0].Dropped, " ") != "(other) user messages.name messages.content.(other) ..." || len(view.Excluded) == 0 || len(view.Excluded)+view.MoreExcluded != 64 {
		t.Errorf("%d attempts, %d dropped, %d of %d passed over", len(view.Attempts), len(view.Attempts[0].Dropped), len(view.Excluded), len(view.Excluded)+view.MoreExcluded)
	}
}

// TestNestedMembersCount has bodies with very many nested members held against
// max_body_memory: what they take beside their bytes is counted, and given back.
func TestNestedMembersCount(t *testing.T) {
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) { c.MaxBodyMemory = 1 << 20 }})
	body := func(members int) string {
		return `{"model":"gemini-flash","messages":[{"role":"user","content":"x"` + strings.Repeat(`,"a":1`, members) + `}]}`
	}
	for _, members := range []int{0, 100, 1000, 5000} {
		if got := r.ask(body(members)); got.status != 200 {
			t.Errorf("%d members: %d %s", members, got.status, got.body)
		}
	}
	got := r.ask(body(20_000)) // 120 KB of body, and 1.6 MB beside it
	if _, code, _, _ := errorOf(t, got); got.status != 503 || code != "overloaded" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.idle()
}
