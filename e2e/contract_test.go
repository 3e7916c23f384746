package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// contracted is the configuration with these options for theturbo, which begin
// with its contract.
func contracted(options string) string {
	return strings.Replace(configuration, "theturbo:  {contract: theturbo,", "theturbo:  {"+options+",", 1)
}

// reconfigure has the gateway read another configuration, for the nth time.
func (f *fleet) reconfigure(t *testing.T, config string, nth int) {
	t.Helper()
	publish(t, f.file(), config)
	f.hangUp(t)
	f.reloaded(t, reloads{succeeded: nth, lastOK: true})
}

// message is what the client reads of an error.
func (r reply) message() string {
	var body struct {
		Error struct{ Message string }
	}
	_ = json.Unmarshal([]byte(r.body), &body) // the status says more
	return body.Error.Message
}

// contractCase is what an operator says of a provider that differs from its
// page, and what becomes of a request then.
type contractCase struct {
	options string // of theturbo
	request foretold
	// sends is what the provider gets beside the model and the messages; JSON.
	sends   string
	dropped string
	refusal string
}

const unableTurbo = "no provider of this model can serve this request: theturbo "

func contractCases() []contractCase {
	of := func(members string) foretold { return foretold{members: members} }
	says := func(message string) foretold { return foretold{messages: message} }
	return []contractCase{
		{options: `contract: theturbo`, request: of(`,"seed":7`), refusal: unableTurbo + `does not take "seed"; configured providers that would take "seed" as sent: fourth, starmagic`},
		{options: `contract: {base: theturbo, allow: [seed]}`, request: of(`,"seed":7`), sends: `{"seed":7}`},
		{options: `contract: theturbo, unsupported: drop`, request: of(`,"seed":7,"top_p":0.5`), sends: `{"top_p":0.5}`, dropped: "seed"},
		{options: `contract: {base: theturbo, deny: [temperature]}`, request: of(`,"temperature":1`), refusal: unableTurbo + `does not take "temperature"; configured providers that would take "temperature" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, deny: [temperature]}, unsupported: drop`, request: of(`,"temperature":1`), sends: `{}`, dropped: "temperature"},
		{options: `contract: {base: theturbo, deny: [tools]}, unsupported: drop`, request: of(weatherTool), refusal: unableTurbo + `does not take "tools"; configured providers that would take "tools" as sent: fourth, starmagic`},
		{options: `contract: {base: theturbo, ranges: {temperature: {least: 0, most: 1}}}`, request: of(`,"temperature":1.5`), refusal: unableTurbo + `takes "temperature" from 0 to 1, not 1.5; configured providers that would take "temperature" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, ranges: {temperature: {least: 0, most: 1}}}, unsupported: drop`, request: of(`,"temperature":1.5`), refusal: unableTurbo + `takes "temperature" from 0 to 1, not 1.5; configured providers that would take "temperature" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, ranges: {temperature: {least: 0, most: 1}}}`, request: of(`,"temperature":1.0`), sends: `{"temperature":1.0}`},
		{options: `contract: {base: theturbo, ranges: {temperature: {}}}`, request: of(`,"temperature":2.50`), sends: `{"temperature":2.50}`},
		{options: `contract: {base: theturbo, stop: array}`, request: of(`,"stop":"never said"`), sends: `{"stop":["never said"]}`},
		{options: `contract: {base: theturbo, max_stops: 2}`, request: of(`,"stop":["1","2","3"]`), refusal: unableTurbo + `takes at most 2 stop sequences, not 3; configured providers that would take "stop" as sent: fourth, starmagic`},
		{options: `contract: {base: theturbo, forward: [user]}`, request: of(`,"user":"ann","metadata":{"a":"b"}`), sends: `{"user":"ann"}`, dropped: "metadata"},
		{options: `contract: {base: theturbo, allow: [max_completion_tokens], deny: [max_tokens]}`, request: of(`,"max_tokens":9`), sends: `{"max_completion_tokens":9}`},
		{options: `contract: {base: theturbo, allow: [reasoning_effort], words: {reasoning_effort: [low, minimal]}}`, request: of(`,"reasoning_effort":"low"`), sends: `{"reasoning_effort":"low"}`},
		{options: `contract: {base: theturbo, allow: [reasoning_effort], words: {reasoning_effort: [low, minimal]}}`, request: of(`,"reasoning_effort":"high"`), refusal: unableTurbo + `takes "reasoning_effort" of low or minimal, not high; configured providers that would take "reasoning_effort" as sent: fourth, starmagic`},
		{options: `contract: {base: theturbo, media: [none]}`, request: says(mediumOf("data:image/png;base64," + pixel)), refusal: unableTurbo + `takes no media as base64 data: URLs; configured providers that would take "messages" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, media_types: [image/png]}`, request: says(mediumOf("data:image/jpeg;base64," + pixel)), refusal: unableTurbo + `does not take media of type image/jpeg; configured providers that would take "messages" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, media: [http, data]}`, request: says(mediumOf("https://images.example/cat.png")), sends: `{}`},
		{options: `contract: {base: theturbo, roles: [user, assistant]}`, request: says(`{"role":"developer","content":"Be brief."},{"role":"user","content":"PROMPT"}`), refusal: unableTurbo + `does not take messages of the role developer; configured providers that would take "messages" as sent: evolink, fourth, starmagic`},
		{options: `contract: {base: theturbo, stream_usage: pass}`, request: of(`,"stream":true`), sends: `{"stream":true}`},
		{options: `contract: {base: theturbo, stream_usage: pass}`, request: of(`,"stream":true,"stream_options":{"include_usage":true}`), sends: `{"stream":true,"stream_options":{"include_usage":true}}`},
		{options: `contract: {base: theturbo, stream_usage: inject}`, request: of(`,"stream":true`), sends: `{"stream":true,"stream_options":{"include_usage":true}}`},
		{options: `contract: theturbo`, request: of(`,"stream":true,"stream_options":{"include_usage":true}`), sends: `{"stream":true}`},
	}
}

// differently is how theturbo answers here: it takes more than its page says.
func differently() simulator.Behaviour {
	return simulator.Behaviour{CachedTokens: 1, Deviations: simulator.Deviations{
		Takes:  []string{"seed", "stream_options", "user", "max_completion_tokens", "reasoning_effort"},
		Ranges: map[string][2]float64{"temperature": {0, 5}},
		Media:  simulator.MediaWeb,
	}}
}

// TestOperatorsContracts has an operator say what theturbo does differently: it
// is sent just that, and the client is told just that.
func TestOperatorsContracts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(differently(), simulator.TheTurbo)
	client, secret := f.bare(t), f.issue(t).Secret
	for i, one := range contractCases() {
		f.reconfigure(t, contracted(one.options), i+1)
		one.request.name, one.request.model = "of a contract", "gemini-2.0-flash"
		f.checkContract(t, one, client.send(t.Context(), wish{secret: secret, body: one.request.bytes()}))
	}
}

func (f *fleet) checkContract(t *testing.T, one contractCase, r reply) {
	t.Helper()
	if one.refusal != "" {
		if r.status != http.StatusBadRequest || r.code() != "unsupported_parameter" || r.message() != one.refusal {
			t.Errorf("%s: %s\ngot  %d %s\nwant %s", one.options, one.request.members, r.status, r.message(), one.refusal)
		}
		return
	}
	if r.status != http.StatusOK || r.err != nil || r.header.Get("X-Tollgate-Dropped") != one.dropped {
		t.Errorf("%s: %s: dropped %q, want %q: %s", one.options, one.request.members, r.header.Get("X-Tollgate-Dropped"), one.dropped, r)
		return
	}
	all := f.providers.Truth()
	var sent, want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(all[len(all)-1].Body), &sent); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(one.sends), &want); err != nil {
		t.Fatal(err)
	}
	delete(sent, "model")
	delete(sent, "messages")
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("%s: %s (- want + sent)\n%s", one.options, one.request.members, diff)
	}
}

// TestOperatorsStreamUsage has theturbo tell the usage of streams, as its page
// does not: with pass the client gets the provider's own bytes, and the bill is the provider's.
func TestOperatorsStreamUsage(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil).with(t, contracted(`contract: {base: theturbo, allow: [seed], stream_usage: pass}`), nil)
	f.behave(differently(), simulator.TheTurbo)
	c := f.call(t, f.issue(t).Secret)
	prompt := "Please tell what it took"
	params := ask("gemini-2.0-flash", prompt)
	params.Seed, params.StreamOptions.IncludeUsage = openai.Int(7), openai.Bool(true)
	a := c.stream(t.Context(), params)
	f.checkBill(t, a, f.checkText(t, a, prompt))
	e := f.attempt(t, prompt)
	if own := f.askDirectly(t, simulator.TheTurbo, e.Body); a.wire.String() != own || a.usages != 1 || !e.UsageSent {
		t.Errorf("%d usage chunks: through the gateway:\n%s\nfrom the provider itself:\n%s", a.usages, a.wire.String(), own)
	}

	prompt = "Please keep to yourself what it took"
	a = c.stream(t.Context(), ask("gemini-2.0-flash", prompt))
	e = f.checkText(t, a, prompt)
	f.checkBill(t, a, e)
	if a.usages != 0 || e.UsageSent || e.IncludeUsage {
		t.Errorf("nobody has asked for the usage: %+v\n%s", e, a.wire.String())
	}
}

// TestOperatorsDone has theturbo end its streams without [DONE]: by its page they
// have broken off, and with done: optional they are whole.
func TestOperatorsDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{Deviations: simulator.Deviations{NoDone: true}}, simulator.TheTurbo)
	c := f.call(t, f.issue(t).Secret)
	broken := c.stream(t.Context(), ask("gemini-2.0-flash", "Is this all?"))
	broken.interrupted(t, "upstream_interrupted")
	f.reconfigure(t, contracted(`contract: {base: theturbo, done: optional}`), 1)
	whole := c.stream(t.Context(), ask("gemini-2.0-flash", "And this?"))
	whole.complete(t)
	e := f.attempt(t, "And this?")
	if whole.text() != e.Choices[0].Text || !strings.HasSuffix(whole.wire.String(), "data: [DONE]\n\n") {
		t.Errorf("the client has\n%s\nof %+v", whole.wire.String(), e)
	}
	if r := f.record(t, whole.id()); r.EndReason != "completed" {
		t.Errorf("billed %+v", r)
	}
}

// TestContractReload changes a contract while a stream is open: new requests
// obey the new one, and the stream goes on by its own.
func TestContractReload(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(differently(), simulator.TheTurbo)
	c := f.call(t, f.issue(t).Secret)
	seeded := func(prompt string) *answer {
		return c.plain(t.Context(), ask("gemini-2.0-flash", prompt), option.WithJSONSet("seed", 7))
	}
	no := refused{400, "invalid_request_error", "unsupported_parameter", "seed"}
	seeded("Not yet").refused(t, no)
	f.reconfigure(t, contracted(`contract: {base: theturbo, allow: [seed], stream_usage: inject}`), 1)
	f.checkText(t, seeded("Now it is taken"), "Now it is taken")

	slow := differently()
	slow.Tokens, slow.Gap = 40, 50*time.Millisecond
	f.behave(slow, simulator.TheTurbo)
	const prompt = "Please take your time"
	ended := make(chan *answer, 1)
	go func() {
		ended <- c.stream(t.Context(), ask("gemini-2.0-flash", prompt), option.WithJSONSet("seed", 7))
	}()
	f.delivering(t, prompt)
	f.behave(differently(), simulator.TheTurbo)
	f.reconfigure(t, configuration, 2)
	seeded("No longer").refused(t, no)
	if len(ended) != 0 {
		t.Error("the stream did not last until the reload")
	}
	a := receive(t, ended)
	e := f.checkText(t, a, prompt)
	// By the contract that it began with, the provider was asked for the usage.
	if r := f.checkBill(t, a, e); r.Source != "upstream" || !e.UsageSent || a.usages != 0 {
		t.Errorf("billed %+v, the client got %d usage chunks", r, a.usages)
	}
	for _, unasked := range []string{"Not yet", "No longer"} {
		for _, e := range f.providers.Truth() {
			if strings.Contains(e.Body, unasked) {
				t.Errorf("%s was asked %q", e.Provider, unasked)
			}
		}
	}
}

// TestBadContractIsNotReloaded offers contracts with mistakes: each is told by
// its name, and the one before stays in force.
func TestBadContractIsNotReloaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(differently(), simulator.TheTurbo)
	c := f.call(t, f.issue(t).Secret)
	f.reconfigure(t, contracted(`contract: {base: theturbo, allow: [seed]}`), 1)
	for i, bad := range []struct{ options, complaint string }{
		{`contract: {base: theturbo, allow: [sede]}`, `providers.theturbo.contract.allow`},
		{`contract: {base: theturbo, allow: [seed], ranges: {temperature: {least: 2, most: 1}}}`, `providers.theturbo.contract.ranges`},
		{`contract: {base: theturbo, alow: [seed]}`, `alow: unknown option`},
	} {
		publish(t, f.file(), contracted(bad.options))
		f.hangUp(t)
		f.reloaded(t, reloads{succeeded: 1, refused: i + 1})
		f.stderr.await(t, bad.complaint, func(log string) bool { return strings.Contains(log, bad.complaint) })
		prompt := "Still taken, although: " + bad.complaint
		f.checkText(t, c.plain(t.Context(), ask("gemini-2.0-flash", prompt), option.WithJSONSet("seed", 7)), prompt)
	}
}
