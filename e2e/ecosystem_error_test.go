package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3"
)

// libraryClass is the library's own type for an error of this status.
func libraryClass(l library, status int) string {
	if l.name == aiSDK {
		return "AI_APICallError"
	}
	return map[int]string{400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError"}[status]
}

// checkFailure has an errand fail, and holds the error against what the
// library's manual says of such a status.
func (f *fleet) checkFailure(t *testing.T, l library, secret string, e libraryErrand, want refused) libraryFailure {
	t.Helper()
	s := l.do(t.Context(), t, f.gateway, secret, e)
	failure := s.failed(t)
	if failure.Class != libraryClass(l, want.status) || failure.Status != want.status || failure.Code != want.code || failure.Param != want.param || failure.Message == "" {
		t.Errorf("got %+v, want %+v as %s", failure, want, libraryClass(l, want.status))
	}
	again := want.status == 429 || want.status >= 500
	if failure.Retryable != again {
		t.Errorf("the library says of %d that it is worth another try: %v", want.status, failure.Retryable)
	}
	if len(s.Sent) != 1 {
		t.Errorf("the library asked %d times, got %v", len(s.Sent), s.statuses())
	}
	return failure
}

// TestLibrariesKnowErrors lets requests fail: the libraries raise their own
// errors, and repeat only what is worth it.
func TestLibrariesKnowErrors(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	for _, l := range libraries(t) {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream: %v", l.name, stream), func(t *testing.T) {
				t.Parallel()
				// A library that may try once more does not, for any of these.
				e := libraryErrand{Model: "gemini-3-pro-preview", Prompt: "Please fail, " + t.Name() + ".", Stream: stream, Retries: 1}
				f.checkFailure(t, l, unknownSecret(), e, refused{status: 401, code: "invalid_api_key"})
				tools := e
				tools.Turns = 1
				f.checkFailure(t, l, secret, tools, refused{status: 400, code: "unsupported_parameter", param: "tools"})
				e.Model = "gemini-4"
				f.checkFailure(t, l, secret, e, refused{status: 404, code: "model_not_found", param: "model"})
			})
		}
	}
}

// TestLibrariesTryAgain loses an answer: who may try once more has it then.
func TestLibrariesTryAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	// A fault strikes the next request, so that each library has a provider of its own.
	own := map[string]simulator.Provider{aiSDK: simulator.TheTurbo, langChain: simulator.Evolink}
	for _, l := range libraries(t) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			provider := own[l.name]
			for _, stream := range []bool{false, true} {
				f.inject(t, simulator.Fault{Kind: simulator.Drop, Provider: provider, Times: 1})
				e := libraryErrand{Model: modelOf(provider), Prompt: "Please drop it.", Stream: stream}
				f.checkFailure(t, l, secret, e, refused{status: 502, code: "upstream_error"})
			}
			f.inject(t, simulator.Fault{Kind: simulator.Drop, Provider: provider, Times: 1})
			e := libraryErrand{Model: modelOf(provider), Prompt: "Please hold it, " + l.name + ".", Stream: true, Retries: 1}
			s := l.do(t.Context(), t, f.gateway, secret, e)
			s.whole(t)
			if truth := f.attempts(t, e.Prompt); !slices.Equal(s.statuses(), []int{502, 200}) || s.Steps[0].Text != truth[len(truth)-1].Choices[0].Text {
				t.Errorf("got %v and %+v", s.statuses(), s.Steps)
			}
		})
	}
}

// TestLibrariesWait meets a rate limit: who may try once more waits for as long
// as the answer says, which is longer than a library waits by itself, and is served.
func TestLibrariesWait(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	want := refused{status: 429, code: "rate_limit_exceeded"}
	for _, l := range libraries(t) {
		for _, stream := range []bool{false, true} {
			secret := f.issue(t, "--requests-per-minute", "15").Secret // one in 4 seconds
			t.Run(fmt.Sprintf("%s, stream: %v", l.name, stream), func(t *testing.T) {
				t.Parallel()
				e := libraryErrand{Model: "gemini-2.0-flash", Prompt: "Please wait, " + t.Name() + ".", Stream: stream}
				f.exhaust(t, secret)
				failure := f.checkFailure(t, l, secret, e, want)
				if seconds, err := strconv.Atoi(failure.RetryAfter); err != nil || seconds < 1 || seconds > 4 {
					t.Errorf("the program is told to wait for %q seconds", failure.RetryAfter)
				}
				f.exhaust(t, secret)
				e.Retries = 1
				s := l.do(t.Context(), t, f.gateway, secret, e)
				if !slices.Equal(s.statuses(), []int{429, 200}) {
					t.Fatalf("got %v: %+v", s.statuses(), s.Failure)
				}
				s.whole(t)
				if truth := f.attempt(t, e.Prompt); s.Steps[0].Text != truth.Choices[0].Text {
					t.Errorf("the program has %+v, of %+v", s.Steps[0], truth)
				}
			})
		}
	}
}

// exhaust asks until the key is refused and has to wait for more than 3 seconds.
func (f *fleet) exhaust(t *testing.T, secret string) {
	t.Helper()
	c := f.call(t, secret)
	for range 200 {
		var refusal *openai.Error
		if a := c.plain(t.Context(), ask("gemini-2.0-flash", "One more.")); !errors.As(a.err, &refusal) {
			a.complete(t)
			continue
		}
		if wait, err := strconv.Atoi(refusal.Response.Header.Get("Retry-After-Ms")); err == nil && wait > 3000 {
			return
		}
	}
	t.Fatal("200 requests do not exhaust a limit of 15 in a minute")
}

// TestLibrariesSeeCuts breaks streams off: no program takes what came for a whole
// answer. The AI SDK may meet the unclean end before it has looked at the error
// event, and knows no code then.
func TestLibrariesSeeCuts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	for _, l := range libraries(t) {
		for _, provider := range simulator.Providers() {
			t.Run(fmt.Sprintf("%s, %s", l.name, provider), func(t *testing.T) {
				f.inject(t, simulator.Fault{Kind: simulator.CutBetween, Events: 10, Provider: provider, Times: 1})
				e := libraryErrand{Model: modelOf(provider), Prompt: "Please break off, " + t.Name() + ".", Stream: true, Retries: 1}
				s := l.do(t.Context(), t, f.gateway, secret, e)
				failure, truth := s.failed(t), f.attempt(t, e.Prompt)
				if len(s.Steps) != 1 || s.Steps[0].Finish != "" || !strings.HasPrefix(truth.Choices[0].Text, s.Steps[0].Text) {
					t.Errorf("the program has %+v, of %q", s.Steps, truth.Choices[0].Text)
				}
				end := l.name == aiSDK && failure.Message == "Failed to process successful response"
				if failure.Code != "upstream_interrupted" && !end || len(s.Sent) != 1 {
					t.Errorf("the program has %+v of %v, want the code upstream_interrupted", failure, s.statuses())
				}
			})
		}
	}
}
