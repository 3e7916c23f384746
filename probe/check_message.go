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
	all = append(all, mediaCheck(c, "image by data: URL", upstream.MediaData, pictureMessages(pixel)))
	web := mediaCheck(c, "image by http address", upstream.MediaHTTP, pictureMessages(imageURL))
	if imageURL == "" {
		web.requests = 0
		web.run = func(context.Context, *session) result { return notTried("give --image-url") }
	}
	all = append(all, web)
	if c.Media&upstream.MediaInputAudio != 0 {
		all = append(all, mediaCheck(c, "input_audio", upstream.MediaInputAudio, soundMessages()))
	}
	return all
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
	case documented && s.strict:
		return asDocumented(seenTaken)
	case documented:
		r, _ := s.judgeControl(ctx, &s.noRole, asDocumented(seenTaken))
		return r
	}
	r, meant := s.judgeControl(ctx, &s.noRole, deviates(seenTaken, ""))
	if meant {
		s.takeRole(v.role)
	}
	return r
}

// pictureMessages ask about the picture at this address.
func pictureMessages(address string) string {
	return partMessages("Name the colour in one word.", `{"type":"image_url","image_url":{"url":`+quoted(address)+`}}`)
}

// soundMessages ask about a sound of silence: one sample.
func soundMessages() string {
	const wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="
	return partMessages("Say in one word what you hear.", `{"type":"input_audio","input_audio":{"data":"`+wav+`","format":"wav"}}`)
}

func partMessages(text, part string) string {
	return `[{"role":"user","content":[{"type":"text","text":` + quoted(text) + `},` + part + `]}]`
}

// mediaCheck tries one form in which media come.
func mediaCheck(c *upstream.Contract, name string, form upstream.MediaSet, messages string) check {
	expected := notDocumented
	if c.Media&form != 0 {
		expected = seenTaken
	}
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
		case documented && s.strict:
			return asDocumented(seenTaken)
		case documented:
			r, _ := s.judgeControl(ctx, &s.noPicture, asDocumented(seenTaken))
			return r
		}
		r, meant := s.judgeControl(ctx, &s.noPicture, deviates(seenTaken, ""))
		if meant {
			s.observed.Media |= form
		}
		return r
	}}
}
