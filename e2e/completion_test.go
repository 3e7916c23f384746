package e2e

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3"
)

// publicModels are the models of the configuration that the simulator serves.
func publicModels() []string {
	return []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview", "gemini-flash"}
}

// TestCompletions asks every model in every form: the client has the provider's
// text, the usage it asked for, and the bill agrees with what was delivered.
func TestCompletions(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{ReasoningTokens: 5, CachedTokens: 2})
	c := f.call(t, f.issue(t).Secret)
	for _, model := range publicModels() {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			t.Run("plain", func(t *testing.T) {
				prompt := "Please say something about " + t.Name()
				a := c.plain(t.Context(), ask(model, prompt))
				f.checkBill(t, a, f.checkText(t, a, prompt))
				if want := f.record(t, a.id()); a.completion.Usage.PromptTokens != want.PromptTokens || a.completion.Usage.CompletionTokens != want.CompletionTokens {
					t.Errorf("the client was told %s, the record says %+v", a.completion.Usage.RawJSON(), want)
				}
			})
			t.Run("stream", func(t *testing.T) {
				prompt := "Please say something about " + t.Name()
				a := c.stream(t.Context(), ask(model, prompt))
				f.checkBill(t, a, f.checkText(t, a, prompt))
				if a.usages != 0 || strings.Contains(a.wire.String(), "prompt_tokens") {
					t.Errorf("usage was not asked for:\n%s", a.wire.String())
				}
			})
			t.Run("stream with usage", func(t *testing.T) {
				prompt := "Please say something about " + t.Name()
				params := ask(model, prompt)
				params.StreamOptions.IncludeUsage = openai.Bool(true)
				a := c.stream(t.Context(), params)
				f.checkBill(t, a, f.checkText(t, a, prompt))
				want := f.record(t, a.id())
				if u := a.completion.Usage; a.usages != 1 || u.PromptTokens != want.PromptTokens || u.CompletionTokens != want.CompletionTokens ||
					u.TotalTokens != want.PromptTokens+want.CompletionTokens {
					t.Errorf("%d usage chunks, the client was told %+v, the record says %+v\n%s", a.usages, u, want, a.wire.String())
				}
			})
		})
	}
}

// checkText holds what the client has against what the provider delivered.
func (f *fleet) checkText(t *testing.T, a *answer, prompt string) simulator.Entry {
	t.Helper()
	a.complete(t)
	e := f.attempt(t, prompt)
	if !e.Done || len(e.Choices) != 1 || a.text() != e.Choices[0].Text || a.text() == "" {
		t.Errorf("the client has %q, the provider's truth is %+v", a.text(), e)
	}
	if got := a.completion.Choices[0].FinishReason; got != e.Choices[0].Finish {
		t.Errorf("finish reason %q, the provider said %q", got, e.Choices[0].Finish)
	}
	if got := strings.Count(a.wire.String(), "data: [DONE]"); (got == 1) != e.Stream {
		t.Errorf("%d times [DONE], stream: %v", got, e.Stream)
	}
	return e
}

// checkBill holds the record of a complete answer against the provider's truth.
func (f *fleet) checkBill(t *testing.T, a *answer, e simulator.Entry) record {
	t.Helper()
	r := f.record(t, a.id())
	if r.Kind != "settle" || r.EndReason != "completed" || r.Provider != string(e.Provider) || r.Stream != e.Stream || r.Tenant != "acme" {
		t.Errorf("record %+v of an answer by %s, stream: %v", r, e.Provider, e.Stream)
	}
	switch {
	case e.UsageSent:
		if got, want := r.figures(), reported(e); r.Source != "upstream" || got != want {
			t.Errorf("billed %+v (source %s), the provider reported %+v", got, r.Source, want)
		}
	case r.Source != "estimated" || r.PromptTokens <= 0 || r.CompletionTokens <= 0:
		t.Errorf("an answer without reported usage must be estimated, got %+v", r)
	}
	if want := tariffs()[r.Model].charge(r.figures()); r.Charge != want {
		t.Errorf("charged %d nano-dollars, want %d for %+v", r.Charge, want, r.figures())
	}
	return r
}

// figures are the tokens of a bill.
type figures struct{ prompt, cached, completion, reasoning int64 }

func (r record) figures() figures {
	return figures{r.PromptTokens, r.CachedTokens, r.CompletionTokens, r.ReasoningTokens}
}

// reported is what the provider's usage object said. TheTurbo's knows no
// cached tokens, whatever the truth is.
func reported(e simulator.Entry) figures {
	reported := figures{e.Usage.Prompt, e.Usage.Cached, e.Usage.Completion, e.Usage.Reasoning}
	if e.Provider == simulator.TheTurbo {
		reported.cached = 0
	}
	return reported
}

// charge is the price of these tokens in nano-dollars.
func (p tariff) charge(u figures) int64 {
	return (u.prompt-u.cached)*p.input + u.cached*p.cached + u.completion*p.output
}

// TestBytesAreTheProviders asks a provider directly and through the gateway: the
// bytes of the two answers are the same.
func TestBytesAreTheProviders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	prompt := "Please introduce yourself"
	check := func(p simulator.Provider, options string, got *answer) {
		t.Helper()
		got.complete(t)
		body := `{"model":"` + got.completion.Model + `","messages":[{"role":"user","content":"` + prompt + `"}]` + options + `}`
		if want := f.askDirectly(t, p, body); got.wire.String() != want {
			t.Errorf("through the gateway:\n%s\nfrom %s itself:\n%s", got.wire.String(), p, want)
		}
	}
	withUsage := ask("gemini-2.5-flash-lite", prompt)
	withUsage.StreamOptions.IncludeUsage = openai.Bool(true)
	check(simulator.StarMagic, ``, c.plain(t.Context(), ask("gemini-2.5-flash-lite", prompt)))
	check(simulator.StarMagic, `,"stream":true`, c.stream(t.Context(), ask("gemini-2.5-flash-lite", prompt)))
	check(simulator.StarMagic, `,"stream":true,"stream_options":{"include_usage":true}`, c.stream(t.Context(), withUsage))
	check(simulator.TheTurbo, ``, c.plain(t.Context(), ask("gemini-2.0-flash", prompt)))
	check(simulator.TheTurbo, `,"stream":true`, c.stream(t.Context(), ask("gemini-2.0-flash", prompt)))
	check(simulator.Evolink, ``, c.plain(t.Context(), ask("gemini-3-pro-preview", prompt)))
	check(simulator.Evolink, `,"stream":true`, c.stream(t.Context(), ask("gemini-3-pro-preview", prompt)))
}

// askDirectly sends a body to a simulated provider and returns its answer.
func (f *fleet) askDirectly(t *testing.T, p simulator.Provider, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, f.env["SIMULATOR"]+"/"+string(p)+"/v1/chat/completions", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+providerKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d: %s (%v)", p, response.StatusCode, raw, err)
	}
	return string(raw)
}
