package probe

import (
	"context"
	"fmt"
)

// errorChecks ask what cannot be answered, to see how a refusal looks.
func errorChecks() []check {
	const object = "4xx with an error object"
	return []check{
		{name: "error: no messages", expected: object, requests: 1, run: refusalOf(request{messages: "[]"})},
		{name: "error: unknown model", expected: object, requests: 1, run: refusalOf(request{model: "no-such-model-tollgate-probe", forbidden: true})},
		{name: "a field that does not exist", expected: notDocumented, requests: 1, run: checkStrict},
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

// checkStrict learns what it means when a field is accepted whose effect cannot
// be seen: of a provider that leaves unknown fields aside, nothing.
func checkStrict(ctx context.Context, s *session) result {
	switch got := s.ask(ctx, request{more: `,"tollgate_probe":true`}); got.reception {
	case refused:
		s.strict = true
		return asDocumented(seenRefused)
	case accepted:
		return asDocumented(seenIgnored).but("that a field is accepted says little here")
	default:
		return undecided(got.why)
	}
}
