package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestUnsupportedMessages reads what a client is told when nobody can serve its
// request: the parameter, what each provider lacks, and who would take it.
func TestUnsupportedMessages(t *testing.T) {
	t.Parallel()
	named := newFleet(t, nil)
	hidden := named.with(t, strings.Replace(configuration, "server:\n", "server:\n  upstream_headers: false\n", 1), nil)
	ofNamed, ofHidden := named.issue(t).Secret, hidden.issue(t).Secret
	clientNamed, clientHidden := named.bare(t), hidden.bare(t)
	const unable = "no provider of this model can serve this request: "
	f := func(one foretold, param, full, short string) {
		t.Helper()
		one.name = "of nobody"
		for _, body := range []string{one.bytes(), inStream(one.bytes())} {
			r := clientNamed.send(t.Context(), wish{secret: ofNamed, body: body})
			if r.status != 400 || r.code() != "unsupported_parameter" || r.message() != full || !strings.Contains(r.body, `"param":"`+param+`"`) {
				t.Errorf("%s\ngot  %s\nwant %s about %s", body, r, full, param)
			}
			r = clientHidden.send(t.Context(), wish{secret: ofHidden, body: body})
			if r.status != 400 || r.code() != "unsupported_parameter" || r.message() != short || !strings.Contains(r.body, `"param":"`+param+`"`) {
				t.Errorf("without names: %s\ngot  %s\nwant %s about %s", body, r, short, param)
			}
		}
	}
	f(foretold{model: "gemini-2.0-flash", members: `,"seed":7`}, "seed",
		unable+`theturbo does not take "seed"; configured providers that would take "seed" as sent: fourth, starmagic`,
		`no provider of this model takes "seed" as it was sent`)
	f(foretold{model: "gemini-flash", members: `,"logit_bias":{"5":-100}`}, "logit_bias",
		unable+`starmagic does not take "logit_bias", theturbo does not take "logit_bias", evolink does not take "logit_bias"; configured providers that would take "logit_bias" as sent: fourth`,
		`no provider of this model takes "logit_bias" as it was sent`)
	f(foretold{model: "gemini-flash", members: `,"seed":7,"top_k":4`}, "top_k",
		unable+`starmagic does not take "top_k", theturbo does not take "top_k", evolink does not take "seed"; configured providers that would take "top_k" as sent: fourth`,
		`no provider of this model takes "top_k" together with the rest of the request`)
	f(foretold{model: "gemini-flash", members: `,"temperature":2.5,"n":2,"tools":[{"type":"custom"}]`}, "tools",
		unable+`starmagic takes functions only in "tools", theturbo takes "temperature" from 0 to 2, not 2.5, evolink does not take "n"; configured providers that would take "tools" as sent: fourth`,
		`no provider of this model takes "tools" as it was sent`)
	f(foretold{model: "in-turn", members: `,"presence_penalty":2.5`}, "presence_penalty",
		unable+`theturbo takes "presence_penalty" from -2 to 2, not 2.5, starmagic takes "presence_penalty" from -2 to 2, not 2.5; configured providers that would take "presence_penalty" as sent: fourth`,
		`no provider of this model takes "presence_penalty" as it was sent`)
	f(foretold{model: "gemini-2.0-flash", messages: mediumOf("https://images.example/cat.png")}, "messages",
		unable+`theturbo takes no media by http or https address; configured providers that would take "messages" as sent: evolink, fourth, starmagic`,
		`no provider of this model takes "messages" as it was sent`)
	f(foretold{model: "gemini-3-pro-preview", members: `,"reasoning_effort":"extreme"`}, "reasoning_effort",
		unable+`evolink does not take "reasoning_effort"; configured providers that would take "reasoning_effort" as sent: fourth`,
		`no provider of this model takes "reasoning_effort" as it was sent`)
	if asked := named.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream", len(asked))
	}
}

// TestHiddenProviders sets upstream_headers: false: nothing that a client gets
// names a provider, while operators are told as ever.
func TestHiddenProviders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil).with(t, strings.Replace(configuration, "server:\n", "server:\n  upstream_headers: false\n", 1), nil)
	key, o, client := f.issue(t), f.operators(t), f.bare(t)
	for _, members := range []string{"", `,"seed":7`, `,"logit_bias":{"5":1}`, `,"temperature":2.5,"top_k":4`} {
		body := foretold{name: "of nobody's name", model: "gemini-flash", members: members}.bytes()
		e := o.explain(t, key.ID, body)
		r := client.send(t.Context(), wish{secret: key.Secret, body: body})
		if len(e.Candidates) != 3 || e.Sent != (r.status == http.StatusOK) || !e.Sent && e.Refusal.Message != r.message() {
			t.Errorf("foretold was %s of %+v, the client got %s", e.outcome(), e.Candidates, r)
		}
		var all strings.Builder
		_ = r.header.Write(&all)
		all.WriteString(r.message())
		for _, name := range []string{"starmagic", "theturbo", "evolink", "fourth"} {
			if strings.Contains(all.String(), name) {
				t.Errorf("the client is told of %s:\n%s", name, all.String())
			}
		}
	}
}
