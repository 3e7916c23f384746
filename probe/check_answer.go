package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tollgate/upstream"
	"tollgate/usage"
)

// answerChecks look at a plain answer to the usual request.
func answerChecks(c *upstream.Candidate) []check {
	return []check{
		{name: "plain answer", expected: "JSON with text and finish_reason", requests: 2, run: checkPlain},
		{name: "usage", expected: "figures that add up", run: checkUsage},
		{name: "model echo", expected: c.Model, run: checkModel},
	}
}

// checkPlain asks the usual request. Nothing else can be known of a provider that does not answer it.
func checkPlain(ctx context.Context, s *session) result {
	got := s.ask(ctx, request{})
	if got.reception == refused && got.status != http.StatusNotFound {
		// Providers move from one of the two fields to the other, whatever their contract says.
		first, was := got, s.limitField
		s.limitField = otherLimit(was)
		if got = s.ask(ctx, request{}); got.reception != accepted && s.stopped == "" {
			s.limitField, got = was, first
		}
	}
	switch {
	case s.stopped != "":
		return undecided(got.why)
	case got.reception == refused:
		if got.status == http.StatusNotFound {
			got.why = strings.TrimSpace(got.why + " (look at the endpoint's url and --model)")
		}
		s.stop("it refuses a plain request: " + got.withStatus())
		return deviates(fmt.Sprintf("refused (%d)", got.status), got.why)
	case got.reception != accepted:
		s.stop("it does not answer a plain request: " + got.why)
		return deviates("no answer", got.why)
	}
	s.plain = got.answer
	s.roomy = got.answer.first().cutShort()
	return s.judgePlain(got.answer)
}

// otherLimit is the other of the two fields that may bound an answer.
func otherLimit(field string) string {
	if most := upstream.ParamMaxTokens.String(); field != most {
		return most
	}
	return upstream.ParamMaxCompletionTokens.String()
}

func (s *session) judgePlain(a *answer) result {
	c := a.first()
	seen := "finish_reason " + c.FinishReason
	switch {
	case !strings.HasPrefix(a.contentType, "application/json"):
		return deviates("Content-Type "+s.quote(cmp.Or(a.contentType, "is missing")), "")
	case c.FinishReason == "":
		return deviates("no finish_reason", "")
	case !knownReason(c.FinishReason):
		return unknownReason(s.quote(c.FinishReason))
	case c.text() == "" && c.cutShort():
		return asDocumented(seen).but("no text: the model has used all of its tokens for thinking")
	case c.text() == "":
		return deviates("no text", seen)
	}
	return asDocumented("text, " + seen)
}

// knownReason says that clients know what to make of it.
func knownReason(reason string) bool {
	return slices.Contains([]string{"stop", "length", "tool_calls", "content_filter", "function_call"}, reason)
}

// unknownReason names it only where it is a plain word: it may be anything that a provider writes.
func unknownReason(reason string) result {
	const longest = 32
	strange := func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }
	if reason == "" || len(reason) > longest || strings.ContainsFunc(reason, strange) {
		return deviates("an unknown finish_reason", "")
	}
	return deviates("finish_reason "+reason, "clients do not know it")
}

func checkUsage(_ context.Context, s *session) result {
	if s.plain == nil {
		return notTried("there was no plain answer")
	}
	return judgeUsage(s.plain.Usage, reply{answer: s.plain}.length())
}

// judgeUsage says whether a usage object can be billed by, beside a text of so many bytes.
func judgeUsage(raw []byte, text int64) result {
	t, err := figures(raw)
	if errors.Is(err, usage.ErrNoUsage) {
		return deviates("none", "tokens will be estimated")
	}
	if err == nil {
		err = t.Check(usualLimit)
	}
	if err != nil {
		return deviates("wrong", err.Error()+": tokens will be estimated")
	}
	if t.Completion == 0 && text > 0 {
		return deviates("completion 0", "there is a text: its tokens will be counted by the gateway")
	}
	return asDocumented(fmt.Sprintf("prompt %d, completion %d", t.Prompt, t.Completion))
}

func checkModel(_ context.Context, s *session) result {
	if s.plain == nil {
		return notTried("there was no plain answer")
	}
	asked, echo := s.candidate().Model, s.plain.Model
	switch {
	case echo == asked:
		return asDocumented(asked)
	case echo == "":
		return deviates("none", "")
	case strings.HasPrefix(echo, asked+"-"), strings.HasSuffix(echo, "/"+asked):
		return asDocumented(s.quote(echo)).but("a longer name")
	}
	return deviates(s.quote(echo), "another model may have answered")
}
