package probe

import (
	"context"
	"fmt"

	"tollgate/upstream"
)

// errorChecks ask what cannot be answered, to see how a refusal looks.
func errorChecks(c *upstream.Contract) []check {
	const object = "4xx with an error object"
	return []check{
		{name: "error: no messages", expected: object, requests: 1, run: refusalOf(request{messages: "[]"})},
		{name: "error: unknown model", expected: object, requests: 1, run: refusalOf(request{model: "no-such-model-tollgate-probe", forbidden: true})},
		{name: "a field that does not exist", expected: unknownFields(c), requests: 1, followed: true, run: checkStrict},
	}
}

func refusalOf(r request) func(context.Context, *session) result {
	return func(ctx context.Context, s *session) result {
		got := s.ask(ctx, r)
		switch {
		case got.reception == accepted:
			return deviates("an answer", "it should have been refused")
		case got.reception != refused:
			return undecided(got.why)
		case got.status < 400:
			return deviates(fmt.Sprintf("an error object with status %d", got.status), got.why)
		}
		if _, ok := errorOf(got.raw); !ok {
			return deviates(fmt.Sprintf("%d without an error object", got.status), got.why)
		}
		return asDocumented(fmt.Sprintf("%d with an error object", got.status))
	}
}

// control is a request that no provider should take: where it is accepted, it says little
// that others like it are. It is made when it is needed, and once.
type control struct {
	request request
	words   string // what it has
	asked   bool
	got     reply
}

func nonsenseRole() control {
	return control{words: "one that does not exist", request: request{messages: `[{"role":"tollgate_probe","content":"Be brief."},{"role":"user","content":"Count from 1 to 5 in digits."}]`}}
}

func nonsensePicture() control {
	return control{words: "one that is none", request: request{messages: pictureMessages("data:image/png;base64,!!!!"), prompt: imagePrompt}}
}

// judgeControl says what it means that something was accepted which the contract
// knows, or does not know: nothing, where nonsense is accepted too.
func (s *session) judgeControl(ctx context.Context, c *control, documented result) (r result, meant bool) {
	if !c.asked {
		c.asked, c.got = true, s.ask(ctx, c.request)
	}
	switch c.got.reception {
	case accepted:
		return asDocumented("accepted").but("so is " + c.words), false
	case refused:
		return documented, true
	}
	if documented.verdict == AsDocumented {
		return documented, true
	}
	return undecided(c.got.why), false
}

// unknownFields is what a contract says of fields that nobody documents. An open one with
// exceptions knows that the provider looks at them.
func unknownFields(c *upstream.Contract) string {
	if c.Open && len(c.OtherFields) == 0 {
		return seenTaken
	}
	return notDocumented
}

// checkStrict learns what it means when a field is accepted whose effect cannot
// be seen: of a provider that leaves unknown fields aside, nothing.
func checkStrict(ctx context.Context, s *session) result {
	switch got := s.ask(ctx, request{more: `,"tollgate_probe":true`}); got.reception {
	case refused:
		s.strict = true
		if unknownFields(s.documented()) == seenTaken {
			return deviates(seenRefused, "fields that nobody documents are passed on all the same: see drop")
		}
		return asDocumented(seenRefused)
	case accepted:
		if s.documented().Open {
			return asDocumented(seenTaken).but("that a field is accepted says little here")
		}
		return asDocumented(seenIgnored).but("that a field is accepted says little here")
	default:
		return undecided(got.why)
	}
}
