package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestParseDimensions(t *testing.T) {
	f := func(in string, want ...Dimension) {
		t.Helper()
		got, err := ParseDimensions(in)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ParseDimensions(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	f("")
	f("tenant", ByTenant)
	f("tenant, model,day", ByTenant, ByModel, ByDay)
	f("key,provider", ByKey, ByProvider)
	for _, in := range []string{"colour", "tenant,", ",", "Tenant"} {
		if _, err := ParseDimensions(in); !errors.Is(err, ErrBadQuery) {
			t.Errorf("ParseDimensions(%q): %v, want ErrBadQuery", in, err)
		}
	}
	_, err := ParseDimensions("colour")
	if want := `bad usage query: cannot group by "colour"; tenant, key, model, provider and day exist`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// The rows and the records are read by scripts: these names stay.
func TestRowsAndRecordsEncodeUnderTheirPublicNames(t *testing.T) {
	f := func(v any, want string) {
		t.Helper()
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("got:\n%s, %v\nwant:\n%s", got, err, want)
		}
	}
	f(Row{Tenant: "acme", Model: "gemini-flash", Day: "2026-03-01", Requests: 2, PromptTokens: 26, CompletionTokens: 3782, ReasoningTokens: 2960, Charge: 1_515_400, EstimatedRequests: 1},
		`{"day":"2026-03-01","tenant":"acme","model":"gemini-flash","requests":2,"prompt_tokens":26,"cached_tokens":0,"completion_tokens":3782,`+
			`"reasoning_tokens":2960,"charge_usd":"0.0015154","cost_usd":"0.00","estimated_requests":1}`)
	f(Row{}, `{"requests":0,"prompt_tokens":0,"cached_tokens":0,"completion_tokens":0,"reasoning_tokens":0,"charge_usd":"0.00","cost_usd":"0.00","estimated_requests":0}`)
	f(settle(0), `{"request_id":"0199-000000","kind":"settle","attempt":0,"tenant":"acme","key_id":"key_1","model":"gemini-flash","provider":"starmagic",`+
		`"endpoint":"https://api.starmagic.ai/v1","upstream_model":"gemini-2.5-flash-lite","stream":true,"end_reason":"completed","source":"upstream",`+
		`"prompt_tokens":13,"cached_tokens":3,"completion_tokens":1891,"reasoning_tokens":1480,"image_tokens":2,"audio_tokens":1,`+
		`"charge_nanousd":757700,"cost_nanousd":605120,"charge_price":"gemini-flash@2026-01-01","cost_price":"starmagic/gemini-2.5-flash-lite@2026-01-01",`+
		`"accepted_at":"2026-03-01T12:00:00Z","first_byte_at":"2026-03-01T12:00:00.3Z","ended_at":"2026-03-01T12:00:02Z",`+
		`"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","upstream_id":"chatcmpl-1","rejected":"{\"prompt_tokens\":-1}",`+
		`"trail":{"attempts":[{"provider":"starmagic","outcome":"success"}]}}`)
	f([]JSON{"", `{}`}, `[null,{}]`)
}

func TestSummaryBoundsItsRows(t *testing.T) {
	s := newSummary(Query{By: []Dimension{ByKey}})
	for n := range maxRows {
		if err := s.add(bucket{keyID: fmt.Sprint(n)}, totals{Requests: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.add(bucket{keyID: "7"}, totals{Requests: 1}); err != nil {
		t.Errorf("a row that exists: %v", err)
	}
	if err := s.add(bucket{keyID: "one more"}, totals{Requests: 1}); !errors.Is(err, ErrBadQuery) {
		t.Errorf("one row more: %v, want ErrBadQuery", err)
	}
}
