package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3/option"
)

// usageRow is a row of totals in the form that scripts rely on.
type usageRow struct {
	Tenant           string `json:"tenant"`
	Model            string `json:"model"`
	Day              string `json:"day"`
	Requests         int64  `json:"requests"`
	PromptTokens     int64  `json:"prompt_tokens"`
	CachedTokens     int64  `json:"cached_tokens"`
	CompletionTokens int64  `json:"completion_tokens"`
	ReasoningTokens  int64  `json:"reasoning_tokens"`
	Charge           string `json:"charge_usd"`
	Cost             string `json:"cost_usd"`
	Estimated        int64  `json:"estimated_requests"`
}

type usageRows struct {
	Rows []usageRow `json:"rows"`
}

// total is what one model's requests come to.
type total struct {
	requests, estimated, charge int64
	figures
}

func (sum *total) add(r total) {
	sum.requests += r.requests
	sum.estimated += r.estimated
	sum.charge += r.charge
	sum.prompt += r.prompt
	sum.cached += r.cached
	sum.completion += r.completion
	sum.reasoning += r.reasoning
}

// byModel sums rows over their days: a test may run past midnight.
func byModel(t *testing.T, rows []usageRow) map[string]total {
	t.Helper()
	sums := map[string]total{}
	for _, r := range rows {
		if day, err := time.Parse(time.DateOnly, r.Day); err != nil || time.Since(day) > 48*time.Hour {
			t.Errorf("a row of the day %q", r.Day)
		}
		sum := sums[r.Model]
		sum.add(total{r.Requests, r.Estimated, nanos(t, r.Charge), figures{r.PromptTokens, r.CachedTokens, r.CompletionTokens, r.ReasoningTokens}})
		sums[r.Model] = sum
	}
	return sums
}

// nanos reads an amount such as "0.000567" as nano-dollars, in integers all the way.
func nanos(t *testing.T, amount string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(amount, ".")
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", max(0, 9-len(fraction))), 10, 64)
	if err != nil || len(fraction) < 2 || len(fraction) > 9 {
		t.Errorf("%q is no amount in dollars", amount)
	}
	return n
}

// TestBill runs requests of every kind for two tenants. What the ledger sums up
// is what the providers reported, and where they reported nothing, what the
// single records say; what it charges is that times the price.
func TestBill(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{ReasoningTokens: 7, CachedTokens: 3})
	mine := f.issue(t, "--tenant", "mine")
	yours := f.issue(t, "--tenant", "yours")
	want := f.mixedRun(t, f.call(t, mine.Secret))
	f.call(t, yours.Secret).plain(t.Context(), ask("gemini-2.0-flash", "This is on your bill")).complete(t)

	var all usageRows
	f.operateJSON(t, &all, "usage", "--by", "tenant,model,day")
	rows := map[string][]usageRow{}
	for _, r := range all.Rows {
		rows[r.Tenant] = append(rows[r.Tenant], r)
	}
	compare(t, "tollgate usage", byModel(t, rows["mine"]), want)
	if got := byModel(t, rows["yours"]); len(rows) != 2 || len(got) != 1 || got["gemini-2.0-flash"].requests != 1 {
		t.Errorf("the bill of another tenant is %+v", got)
	}

	var restricted usageRows
	f.operateJSON(t, &restricted, "usage", "--by", "model,day", "--tenant", "mine",
		"--from", yesterday().Format(time.DateOnly), "--to", yesterday().AddDate(0, 0, 2).Format(time.DateOnly))
	compare(t, "tollgate usage of some days", byModel(t, restricted.Rows), want)
	// "Days are UTC days, both included": today's requests are in a range that ends today.
	day := func() string { return time.Now().UTC().Format(time.DateOnly) }
	before := day()
	var today usageRows
	f.operateJSON(t, &today, "usage", "--by", "model,day", "--tenant", "mine", "--from", yesterday().Format(time.DateOnly), "--to", day())
	if before == day() {
		compare(t, "tollgate usage up to today", byModel(t, today.Rows), want)
	}

	c := f.call(t, mine.Secret)
	for what, options := range map[string][]option.RequestOption{
		"GET /v1/usage":              nil,
		"GET /v1/usage of some days": {option.WithQuery("from", yesterday().Format(time.DateOnly)), option.WithQuery("to", day())},
	} {
		own := c.ownUsage(t, options...)
		compare(t, what, byModel(t, own.Rows), want)
	}
}

func yesterday() time.Time { return time.Now().UTC().AddDate(0, 0, -1) }

func compare(t *testing.T, what string, got, want map[string]total) {
	t.Helper()
	for model, w := range want {
		if got[model] != w {
			t.Errorf("%s: %s\ngot  %+v\nwant %+v", what, model, got[model], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: got rows of %d models, want %d", what, len(got), len(want))
	}
}

// ownUsage asks for the key's own spend.
func (c caller) ownUsage(t *testing.T, options ...option.RequestOption) usageRows {
	t.Helper()
	var (
		tap  wiretap
		rows usageRows
	)
	if err := c.client.Get(t.Context(), "usage", nil, &rows, append(options, tap.option())...); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(tap.wire.String(), "cost") {
		t.Errorf("a tenant is told what providers charge:\n%s", tap.wire.String())
	}
	return rows
}

// mixedRun sends requests of every kind and returns what they must come to.
func (f *fleet) mixedRun(t *testing.T, c caller) map[string]total {
	t.Helper()
	want := map[string]total{}
	charged := func(model string, t total) {
		sum := want[model]
		sum.add(t)
		want[model] = sum
	}
	type way func(ctx context.Context, a string) *answer
	reports, estimates := 0, 0
	for _, model := range publicModels() {
		for i, by := range []way{
			func(ctx context.Context, prompt string) *answer { return c.plain(ctx, ask(model, prompt)) },
			func(ctx context.Context, prompt string) *answer { return c.stream(ctx, ask(model, prompt)) },
		} {
			for j := range 3 {
				prompt := fmt.Sprintf("Please put this on the bill: %s %d %d.", model, i, j)
				a := by(t.Context(), prompt)
				a.complete(t)
				e := f.attempt(t, prompt)
				if e.UsageSent {
					reports++
					charged(model, total{1, 0, tariffs()[model].charge(reported(e)), reported(e)})
				} else {
					estimates++
					r := f.record(t, a.id())
					charged(model, total{1, 1, tariffs()[model].charge(r.figures()), r.figures()})
				}
			}
		}
	}
	if reports == 0 || estimates == 0 {
		t.Errorf("%d answers with reported usage and %d without prove nothing", reports, estimates)
	}
	// Counted, and free: nobody got an answer.
	f.inject(t, simulator.Fault{Kind: simulator.Respond, Status: 400, Times: 1})
	c.plain(t.Context(), ask("gemini-2.5-flash-lite", "Refused")).refused(t, refused{400, "invalid_request_error", "simulated_fault", ""})
	charged("gemini-2.5-flash-lite", total{requests: 1})
	f.inject(t, simulator.Fault{Kind: simulator.Drop, Times: 1})
	c.stream(t.Context(), ask("gemini-3-pro-preview", "Failed")).refused(t, refused{502, "server_error", "upstream_error", ""})
	charged("gemini-3-pro-preview", total{requests: 1})
	// Not even counted: the gateway turned them away.
	c.plain(t.Context(), ask("gpt-5", "Unknown")).refused(t, refused{404, "invalid_request_error", "model_not_found", "model"})
	c.plain(t.Context(), ask("gemini-2.0-flash", "Bad"), option.WithJSONSet("temperature", "hot")).
		refused(t, refused{400, "invalid_request_error", "invalid_type", "temperature"})
	return want
}
