package probe

import (
	"context"

	"tollgate/upstream"
)

// pixel is a picture of one pixel.
const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// conversation is how a role is tried.
type conversation struct {
	role     upstream.Role
	name     string
	messages string
}

func conversations() []conversation {
	const user = `{"role":"user","content":"Count from 1 to 5 in digits."}`
	return []conversation{
		{upstream.RoleSystem, "system", `[{"role":"system","content":"Be brief."},` + user + `]`},
		{upstream.RoleDeveloper, "developer", `[{"role":"developer","content":"Be brief."},` + user + `]`},
		{upstream.RoleAssistant, "assistant", `[` + user + `,{"role":"assistant","content":"1 2 3 4 5"},{"role":"user","content":"Now backwards."}]`},
		{upstream.RoleTool, "tool", `[{"role":"user","content":"What time is it in Paris?"},` +
			`{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_time","arguments":"{\"city\":\"Paris\"}"}}]},` +
			`{"role":"tool","tool_call_id":"call_1","content":"12:00"}]`},
	}
}

// messageChecks try the roles that messages may have, and the forms in which pictures come.
func messageChecks(c *upstream.Contract, imageURL string) []check {
	var all []check
	for _, v := range conversations() {
		expected := notDocumented
		if takesRole(c, v.role) {
			expected = seenTaken
		}
		all = append(all, check{name: "role " + v.name, expected: expected, requests: 1, prompt: toolPrompt, run: v.run})
	}
	all = append(all, imageCheck(c, "image by data: URL", upstream.MediaData, pixel))
	web := imageCheck(c, "image by http address", upstream.MediaHTTP, imageURL)
	if imageURL == "" {
		web.requests = 0
		web.run = func(context.Context, *session) result { return notTried("give --image-url") }
	}
	return append(all, web)
}

func (v conversation) run(ctx context.Context, s *session) result {
	more := ""
	if v.role == upstream.RoleTool && s.observed.Takes(upstream.ParamTools) {
		more = `,"tools":` + toolOffered
	}
	documented := takesRole(s.documented(), v.role)
	got := s.ask(ctx, request{messages: v.messages, more: more, prompt: toolPrompt})
	switch {
	case got.reception == refused && documented:
		s.refuseRole(v.role)
		return deviates(seenRefused, got.why)
	case got.reception == refused:
		return asDocumented(seenRefused)
	case got.reception != accepted:
		return undecided(got.why)
	case documented:
		return asDocumented(seenTaken)
	}
	s.takeRole(v.role)
	return deviates(seenTaken, "")
}

func imageCheck(c *upstream.Contract, name string, form upstream.MediaSet, address string) check {
	expected := notDocumented
	if c.Media&form != 0 {
		expected = seenTaken
	}
	messages := `[{"role":"user","content":[{"type":"text","text":"Name the colour in one word."},{"type":"image_url","image_url":{"url":` +
		quoted(address) + `}}]}]`
	return check{name: name, expected: expected, requests: 1, prompt: imagePrompt, run: func(ctx context.Context, s *session) result {
		got := s.ask(ctx, request{messages: messages, prompt: imagePrompt})
		documented := s.documented().Media&form != 0
		switch {
		case got.reception == refused && documented:
			s.observed.Media &^= form
			return deviates(seenRefused, got.why)
		case got.reception == refused:
			return asDocumented(seenRefused)
		case got.reception != accepted:
			return undecided(got.why)
		case documented:
			return asDocumented(seenTaken)
		}
		s.observed.Media |= form
		return deviates(seenTaken, "")
	}}
}
