package probe

import (
	"context"
	"slices"

	"tollgate/upstream"
)

// otherField is a field of clients that is no Param: only an open contract passes it on.
type otherField struct {
	name, value string // JSON
	tools       bool   // it is refused where no tools are offered
}

func otherFields() []otherField {
	return []otherField{
		{name: "user", value: `"tollgate-probe"`},
		{name: "metadata", value: `{"tollgate":"probe"}`},
		{name: "store", value: "false"},
		{name: "parallel_tool_calls", value: "false", tools: true},
	}
}

// otherChecks try the fields that clients send most, of those that an open contract passes on unseen.
func otherChecks(c *upstream.Contract) []check {
	if !c.Open {
		return nil
	}
	var all []check
	for _, f := range otherFields() {
		expected := seenTaken
		if !c.Passes(f.name) {
			expected = notDocumented
		}
		all = append(all, check{name: f.name, expected: expected, requests: 1, prompt: toolPrompt, run: f.run})
	}
	return all
}

func (f otherField) run(ctx context.Context, s *session) result {
	r := request{more: "," + quoted(f.name) + ":" + f.value, prompt: toolPrompt}
	if f.tools && s.observed.Takes(upstream.ParamTools) {
		r.more += `,"tools":` + toolOffered
	}
	passed := s.documented().Passes(f.name)
	got := s.ask(ctx, r)
	switch {
	case got.reception == refused && passed:
		s.observed.OtherFields = append(slices.Clone(s.observed.OtherFields), f.name)
		return deviates(seenRefused, got.why)
	case got.reception == refused:
		return asDocumented(seenRefused)
	case got.reception != accepted:
		return undecided(got.why)
	case passed:
		return asDocumented(seenTaken)
	case !s.strict:
		return asDocumented("accepted").but("so is a field that does not exist")
	}
	s.observed.OtherFields = slices.DeleteFunc(slices.Clone(s.observed.OtherFields), func(name string) bool { return name == f.name })
	return deviates(seenTaken, "")
}
