package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	if other := s.otherLimit(); got.reception == refused && other != "" {
		first := got.why
		was := s.limitField
		s.limitField = other
		if got = s.ask(ctx, request{}); got.reception != accepted {
			s.limitField, got.why = was, first
		}
	}
	switch {
	case s.stopped != "":
		return undecided(got.why)
	case got.reception == refused:
		s.stop("it refuses a plain request: " + cmp.Or(got.why, fmt.Sprintf("status %d", got.status)))
		return deviates(fmt.Sprintf("refused (%d)", got.status), got.why)
	case got.reception != accepted:
		s.stop("it does not answer a plain request: " + got.why)
		return deviates("no answer", got.why)
	}
	s.plain = got.answer
	return s.judgePlain(got.answer)
}

// otherLimit is the other field that may bound an answer; empty: the contract knows one only.
func (s *session) otherLimit() string {
	c := s.documented()
	if !c.Takes(upstream.ParamMaxTokens) || !c.Takes(upstream.ParamMaxCompletionTokens) {
		return ""
	}
	return upstream.ParamMaxCompletionTokens.String()
}

func (s *session) judgePlain(a *answer) result {
	c := a.first()
	seen := "finish_reason " + s.quote(c.FinishReason)
	switch {
	case !strings.HasPrefix(a.contentType, "application/json"):
		return deviates("Content-Type "+s.quote(cmp.Or(a.contentType, "is missing")), "")
	case c.FinishReason == "":
		return deviates("no finish_reason", "")
	case c.text() == "" && c.cutShort():
		return asDocumented(seen).but("no text: the model has used all of its tokens for thinking")
	case c.text() == "":
		return deviates("no text", seen)
	}
	return asDocumented("text, " + seen)
}

func checkUsage(_ context.Context, s *session) result {
	if s.plain == nil {
		return notTried("there was no plain answer")
	}
	judged := judgeUsage(s.plain.Usage)
	if t, err := figures(s.plain.Usage); err == nil && t.Completion == 0 && s.plain.first().text() != "" {
		return deviates("completion 0", "there is a text, which would be free")
	}
	return judged
}

// judgeUsage says whether a usage object can be billed by.
func judgeUsage(raw []byte) result {
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
