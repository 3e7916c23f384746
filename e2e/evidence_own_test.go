package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/tiktoken-go/tokenizer/codec"
)

// fakeEvidence is that of five requests in which all went as it should: a stream whose
// usage was reported, a plain answer that was estimated, one in which the gateway died,
// one that another provider answered, and one that died before it was sent.
func fakeEvidence() *evidence {
	const long = "amber answer archive autumn balance beacon bridge bright candle careful carries circle"
	e := &evidence{customers: map[int64]*customer{}, ledger: map[string][]record{}, sums: map[string]sums{}, tokenizer: codec.NewO200kBase(), unsaved: usuallyUnsaved}
	put := func(c customer, answers []simulator.Entry, records ...record) {
		if c.id == "" {
			c.id = fmt.Sprint("request-", c.number)
		}
		e.customers[c.number] = &c
		for n, a := range answers {
			a.Body = fmt.Sprintf(`{"max_tokens":%d,"model":"..."}`, c.number)
			e.truth = append(e.truth, a)
			e.intents = append(e.intents, record{RequestID: c.id, Kind: "intent", Attempt: n, Model: c.model, Provider: string(a.Provider), MaxCompletion: c.number})
		}
		for _, r := range records {
			r.RequestID, r.Model, r.Stream = c.id, c.model, c.stream
			e.ledger[c.id] = append(e.ledger[c.id], r)
		}
	}
	put(customer{number: 1, model: "gemini-2.5-flash-lite", stream: true, status: 200, got: []byte("data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n")},
		[]simulator.Entry{{Provider: simulator.StarMagic, Done: true, UsageSent: true, Usage: simulator.Usage{Prompt: 7, Cached: 2, Completion: 3}}},
		record{Kind: "settle", Provider: "starmagic", EndReason: "completed", Source: "upstream", PromptTokens: 7, CachedTokens: 2, CompletionTokens: 3, Charge: 5*100 + 2*25 + 3*400, Cost: 9})
	put(customer{number: 2, model: "gemini-2.0-flash", status: 200, got: []byte(`{"choices":[]}`)},
		[]simulator.Entry{{Provider: simulator.TheTurbo, Done: true}},
		record{Kind: "settle", Provider: "theturbo", EndReason: "completed", Source: "estimated", PromptTokens: 8, CompletionTokens: 4, Charge: 8*100 + 4*400})
	put(customer{number: 3, model: "gemini-3-pro-preview", stream: true, status: 200, got: []byte(`data: {"choices":[{"delta":{"content":"amber"}}]}` + "\n\n")},
		[]simulator.Entry{{Provider: simulator.Evolink, Choices: []simulator.Delivered{{Text: long}}}},
		record{Kind: "settle", Provider: "evolink", EndReason: "recovered", Source: "recovered", PromptTokens: 12, CompletionTokens: 2, Charge: 12*2000 + 2*12000})
	put(customer{number: 4, model: "gemini-flash", status: 200, got: []byte(`{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}`)},
		[]simulator.Entry{{Provider: simulator.StarMagic, Status: 503}, {Provider: simulator.TheTurbo, Done: true, UsageSent: true, Usage: simulator.Usage{Prompt: 7, Completion: 5}}},
		record{Kind: "attempt", Provider: "starmagic", Cost: 11},
		record{Kind: "settle", Attempt: 1, Provider: "theturbo", EndReason: "completed", Source: "upstream", PromptTokens: 7, CompletionTokens: 5, Charge: 7*200 + 5*800})
	put(customer{number: 5, model: "gemini-2.0-flash"}, nil, record{Kind: "settle", Provider: "theturbo", EndReason: "recovered", Source: "recovered"})
	e.intents = append(e.intents, record{RequestID: "request-5", Kind: "intent", Provider: "theturbo", MaxCompletion: 5})
	e.sums["gemini-2.5-flash-lite"] = sums{total{1, 0, 1750, figures{prompt: 7, cached: 2, completion: 3}}, 9}
	e.sums["gemini-2.0-flash"] = sums{total{2, 2, 2400, figures{prompt: 8, completion: 4}}, 0}
	e.sums["gemini-3-pro-preview"] = sums{total{1, 1, 48000, figures{prompt: 12, completion: 2}}, 0}
	e.sums["gemini-flash"] = sums{total{1, 0, 5400, figures{prompt: 7, completion: 5}}, 11}
	return e
}

// TestEvidence holds the judge of the crash tests to account: it is silent where all
// went well, and tells every way in which a bill can be wrong.
func TestEvidence(t *testing.T) {
	t.Parallel()
	whole := func() *evidence { return fakeEvidence() }
	e := whole()
	e.judge()
	if e.wrong.count != 0 {
		t.Fatalf("complains of nothing:\n%s", strings.Join(e.wrong.shown, "\n"))
	}
	settle := func(e *evidence, id string) *record {
		return &e.ledger[id][slices.IndexFunc(e.ledger[id], func(r record) bool { return r.Kind == "settle" })]
	}
	for name, c := range map[string]struct {
		spoil func(e *evidence)
		want  string
	}{
		"a lost bill of a whole answer": {func(e *evidence) { delete(e.ledger, "request-1") }, "request request-1 has 0 settles"},
		"a lost bill of a broken one":   {func(e *evidence) { delete(e.ledger, "request-3") }, "request request-3 has 0 settles"},
		"an attempt and no bill":        {func(e *evidence) { e.ledger["request-4"] = e.ledger["request-4"][:1] }, "request request-4 has 0 settles"},
		"a bill without an intent": {func(e *evidence) {
			e.intents = slices.DeleteFunc(e.intents, func(r record) bool { return r.MaxCompletion == 2 })
		}, "theturbo was asked 1 times, and 0 intents announce it"},
		"a second attempt without an intent": {func(e *evidence) {
			e.intents = slices.DeleteFunc(e.intents, func(r record) bool { return r.Attempt == 1 })
		}, "theturbo was asked 1 times, and 0 intents announce it"},
		"half a question without an intent": {func(e *evidence) {
			e.truth = append(e.truth, simulator.Entry{Provider: simulator.TheTurbo}, simulator.Entry{Provider: simulator.TheTurbo})
		}, "2 of them half a question"},
		"the same record twice":     {func(e *evidence) { e.ledger["request-1"] = append(e.ledger["request-1"], e.ledger["request-1"][0]) }, "the ledger has a record twice"},
		"a bill for each attempt":   {func(e *evidence) { e.ledger["request-4"][0].Kind = "settle" }, "request request-4 has 2 settles"},
		"one token too many":        {func(e *evidence) { settle(e, "request-1").CompletionTokens++ }, "the provider reported"},
		"one nano-dollar too many":  {func(e *evidence) { settle(e, "request-1").Charge++ }, "charged 1751 nano-dollars, want 1750"},
		"cached tokens at the full": {func(e *evidence) { settle(e, "request-1").CachedTokens = 0 }, "the provider reported"},
		"not what the client was told": {func(e *evidence) {
			e.customers[4].got = []byte(`{"usage":{"prompt_tokens":7,"completion_tokens":6}}`)
		}, "was told {Prompt:7 Completion:6}"},
		"a whole answer recovered": {func(e *evidence) {
			settle(e, "request-2").EndReason, settle(e, "request-2").Source = "recovered", "recovered"
		}, "has a whole answer, and this bill"},
		"completed, and nobody finished":     {func(e *evidence) { e.truth[0].Done = false }, "no provider finished it"},
		"recovered with more than there was": {func(e *evidence) { settle(e, "request-3").CompletionTokens = 40 }, "the provider had written"},
		"recovered with a longer question":   {func(e *evidence) { settle(e, "request-3").PromptTokens = 400 }, "recovered with 400 prompt tokens"},
		"recovered from no checkpoint": {func(e *evidence) {
			long := strings.Repeat("winter window weather water voice village ", 300)
			e.customers[3].got = []byte(`data: {"choices":[{"delta":{"content":"` + long + `"}}]}` + "\n\n")
		}, "the client had"},
		"charged before anybody was asked": {func(e *evidence) { settle(e, "request-5").Charge = 5 }, "charged for a request that no provider got"},
		"a failed attempt on the bill":     {func(e *evidence) { e.ledger["request-4"][0].Charge = 5 }, "charges what it may not"},
		"totals that forget a request": {func(e *evidence) {
			e.sums["gemini-2.0-flash"] = sums{total{1, 1, 2400, figures{prompt: 8, completion: 4}}, 0}
		}, "the totals of gemini-2.0-flash"},
		"totals of what nobody knows": {func(e *evidence) { e.sums["gemini-9"] = sums{} }, "no record is known"},
		"one customer, two requests":  {func(e *evidence) { e.intents[1].MaxCompletion = 1 }, "became several requests"},
	} {
		t.Run(name, func(t *testing.T) {
			e := whole()
			c.spoil(e)
			e.judge()
			if said := strings.Join(e.wrong.shown, "\n"); !strings.Contains(said, c.want) {
				t.Errorf("it says\n%s\nwant %q", said, c.want)
			}
		})
	}
}
