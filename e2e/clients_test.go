package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3"
)

// modelOf is the model that this provider alone serves.
func modelOf(p simulator.Provider) string {
	return map[simulator.Provider]string{
		simulator.StarMagic: "gemini-2.5-flash-lite",
		simulator.TheTurbo:  "gemini-2.0-flash",
		simulator.Evolink:   "gemini-3-pro-preview",
	}[p]
}

// withUsage asks for the usage of a stream.
func withUsage(params openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	return params
}

// TestClientsHaveWholeAnswers asks each provider in each form: a program with an
// official client has the provider's words, calls and figures.
func TestClientsHaveWholeAnswers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	for _, client := range sdks(t) {
		for _, provider := range simulator.Providers() {
			check := func(form string, stream bool, usages int, change func(openai.ChatCompletionNewParams) openai.ChatCompletionNewParams) {
				t.Run(fmt.Sprintf("%s, %s, %s, stream: %v", client.language, provider, form, stream), func(t *testing.T) {
					prompt := "Please answer in full, " + t.Name() + "."
					params := change(ask(modelOf(provider), prompt))
					a := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, stream, params, nil})
					f.checkSeen(t, a, prompt, usages)
				})
			}
			asItIs := func(params openai.ChatCompletionNewParams) openai.ChatCompletionNewParams { return params }
			check("words", false, 1, asItIs)
			check("words", true, 0, asItIs)
			check("words and usage", true, 1, withUsage)
			if provider != simulator.Evolink { // documents no tools
				check("a call", false, 1, withTool)
				check("a call", true, 0, withTool)
			}
		}
	}
}

// checkSeen holds what a program has against the provider's truth and the bill.
func (f *fleet) checkSeen(t *testing.T, a sdkAnswer, prompt string, usages int) {
	t.Helper()
	a.whole(t)
	e := f.attempt(t, prompt)
	var calls []sdkCall
	if e.Choices[0].Call != "" {
		calls = []sdkCall{{e.Choices[0].Call, e.Choices[0].Arguments}}
	}
	if !e.Done || a.Text != e.Choices[0].Text || a.Finish != e.Choices[0].Finish || !slices.Equal(a.Calls, calls) || a.Text == "" && calls == nil {
		t.Errorf("the program has %+v\nthe provider's truth is %+v", a, e)
	}
	r := f.record(t, a.RequestID)
	if r.EndReason != "completed" || e.UsageSent && r.figures() != reported(e) {
		t.Errorf("billed %+v, the provider reported %+v", r, reported(e))
	}
	told := sdkUsage{r.PromptTokens, r.CompletionTokens, r.PromptTokens + r.CompletionTokens}
	if a.Usages != usages || usages > 0 && a.Usage != told {
		t.Errorf("the program was told %d times of usage, of %+v in the end; want %d and %+v", a.Usages, a.Usage, usages, told)
	}
}

// reads reports whether the client can read this style at all. openai-go ends
// lines at LF and CRLF alone: a stream in CR is one endless line to it, and it
// ends without a word and without an error. A byte order mark costs it the
// first event. It is so without a gateway too, which changes no byte of a stream.
func (s namedSDK) reads(style simulator.Style) bool {
	unreadable := []simulator.Style{simulator.CR, simulator.Mixed, simulator.BOM}
	return s.language != "Go" || !slices.Contains(unreadable, style)
}

// TestClientsReadEveryStyle has the providers write their streams in every way
// that the standard allows.
func TestClientsReadEveryStyle(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	clients := sdks(t)
	for _, style := range simulator.Styles() {
		f.behave(simulator.Behaviour{Style: style, Comments: 1})
		for _, client := range clients {
			if !client.reads(style) {
				continue
			}
			for _, provider := range simulator.Providers() {
				t.Run(fmt.Sprintf("%s, %s, %s", client.language, provider, style), func(t *testing.T) {
					prompt := "Please write with style, " + t.Name() + "."
					params := withUsage(ask(modelOf(provider), prompt))
					a := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, true, params, nil})
					f.checkSeen(t, a, prompt, 1)
				})
			}
		}
	}
}

// TestClientsTakeKeepAlives keeps the providers silent for a second before the
// answer and one inside it: the comments that fill it are nothing to a program.
func TestClientsTakeKeepAlives(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"KEEPALIVE_COMMENT": "100ms", "KEEPALIVE_BEFORE_FIRST_TOKEN": "true"})
	secret := f.issue(t).Secret
	styles := map[simulator.Provider]simulator.Style{simulator.StarMagic: simulator.LF, simulator.TheTurbo: simulator.CRLF, simulator.Evolink: simulator.CR}
	for provider, style := range styles {
		f.behave(simulator.Behaviour{FirstToken: time.Second, Style: style}, provider)
	}
	f.inject(t, simulator.Fault{Kind: simulator.Stall, Events: 10, For: time.Second})
	type asked struct {
		client namedSDK
		prompt string
		answer sdkAnswer
	}
	var (
		all    []*asked
		asking sync.WaitGroup
	)
	for _, client := range sdks(t) {
		for provider, style := range styles {
			if !client.reads(style) {
				continue
			}
			a := &asked{client: client, prompt: fmt.Sprintf("Please pause, %s, %s.", client.language, style)}
			all = append(all, a)
			params := withUsage(ask(modelOf(provider), a.prompt))
			asking.Go(func() {
				a.answer = client.chat(t.Context(), t, sdkRequest{f.gateway, secret, true, params, nil})
			})
		}
	}
	asking.Wait()
	for _, a := range all {
		t.Run(a.prompt, func(t *testing.T) {
			f.checkSeen(t, a.answer, a.prompt, 1)
			if a.client.language == "Go" { // the other's streams are like this one's
				checkKeepAlives(t, a.answer.wire)
			}
		})
	}
}

// checkKeepAlives fails the test unless comments stand before the first event
// of a stream, and further ones behind it.
func checkKeepAlives(t *testing.T, wire string) {
	t.Helper()
	before, behind, _ := strings.Cut(wire, "data: ")
	inside, _, _ := strings.Cut(behind, "data: [DONE]")
	if !strings.Contains(before, ": keep-alive\n\n") || !strings.Contains(inside, ": keep-alive\n\n") {
		t.Errorf("the comments are not where the silence was:\n%s", wire)
	}
}

// TestClientsKnowErrors lets requests fail before anything was sent: the
// libraries raise the errors that their manuals list.
func TestClientsKnowErrors(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"FIRST_TOKEN": "2s", "ANSWER": "2s"})
	unlimited := f.issue(t).Secret
	for _, client := range sdks(t) {
		class := map[string]map[int]string{
			"Go":   {429: "*apierror.Error", 502: "*apierror.Error", 504: "*apierror.Error"},
			"Node": {429: "RateLimitError", 502: "InternalServerError", 504: "InternalServerError"},
		}[client.language]
		check := func(secret string, stream bool, provider simulator.Provider, status int, code string) sdkFailure {
			t.Helper()
			params := ask(modelOf(provider), "Please fail.")
			failure := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, stream, params, nil}).failed(t)
			if failure.Class != class[status] || failure.Status != status || failure.Code != code {
				t.Errorf("%s: got %+v, want %d %s as %s", client.language, failure, status, code, class[status])
			}
			return failure
		}
		for provider, kind := range map[simulator.Provider]simulator.FaultKind{
			simulator.StarMagic: simulator.ShortBody, // an unclean end
			simulator.TheTurbo:  simulator.EndEarly,  // a clean one, half-way
		} {
			f.inject(t, simulator.Fault{Kind: kind, AtByte: 100, Provider: provider, Times: 1})
			check(unlimited, false, provider, 502, "upstream_error")
		}
		f.inject(t, simulator.Fault{Kind: simulator.HangBeforeHeaders, Provider: simulator.Evolink, Times: 2})
		check(unlimited, false, simulator.Evolink, 504, "upstream_timeout")
		check(unlimited, true, simulator.Evolink, 504, "upstream_timeout")

		limited := f.issue(t, "--requests-per-minute", "1").Secret
		prompt := "Please answer once, " + client.language + "."
		a := client.chat(t.Context(), t, sdkRequest{f.gateway, limited, false, ask(modelOf(simulator.TheTurbo), prompt), nil})
		f.checkSeen(t, a, prompt, 1)
		for _, stream := range []bool{false, true} {
			if failure := check(limited, stream, simulator.TheTurbo, 429, "rate_limit_exceeded"); failure.RetryAfter == "" {
				t.Errorf("%s: no Retry-After: %+v", client.language, failure)
			}
		}
	}
}

// TestClientsReadPlaceholders has StarMagic answer as the example beside its list
// of fields: tool_calls: [null] where nothing is called. The gateway changes no
// byte of an answer, so the clients must survive it.
func TestClientsReadPlaceholders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	f.behave(simulator.Behaviour{Deviations: simulator.Deviations{Placeholders: true}})
	for _, client := range sdks(t) {
		prompt := "Please hold the place, " + client.language + "."
		a := client.chat(t.Context(), t, sdkRequest{f.gateway, secret, false, ask("gemini-2.5-flash-lite", prompt), nil})
		f.checkSeen(t, a, prompt, 1)
	}
}
