package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"tollgate/simulator"
	"tollgate/store/redistest"
	"tollgate/telemetry/otlptest"
)

// answerCanary is what providers answer.
const answerCanary = "marimba canary/of the+answer"

// TestCanaries has requests succeed and fail in every way that clients, operators
// and providers know, with the most talkative log there is. Afterwards no secret
// is anywhere, in any form, and no prompt and no answer either, but with those who may read them.
func TestCanaries(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.WithPassword(redisPassword))
	collector, provider := otlptest.Start(t), newParrot(t)
	f := newFleet(t, environment{
		"REDIS": redis.Address(), "REDIS_PASSWORD": redisPassword, "FOURTH": provider.url, "MAX_REQUEST_BODY": "64KiB",
		"COLLECTOR": collector.HTTPURL(), "COLLECTOR_PROTOCOL": "http", "SEND_TRACE_CONTEXT": "true", "LOG_LEVEL": "debug", "REQUESTS_PER_MINUTE": "0",
	})
	f.behave(simulator.Behaviour{Text: answerCanary})
	key, revoked := f.issue(t), f.issue(t)
	f.operate(t, "keys", "revoke", revoked.ID)
	token, err := os.ReadFile(f.dataDir + "/admin-token")
	if err != nil {
		t.Fatal(err)
	}
	const wrongPassword = "wrong+9b3e/51aa"
	secrets := map[string]string{
		"a tenant's secret": key.Secret, "a revoked secret": revoked.Secret, "a secret never issued": unknownSecret(), "the provider's key": providerKey,
		"Redis' password": redisPassword, "a wrong password": wrongPassword, "the admin token": strings.TrimSpace(string(token)),
	}

	told := &told{}
	f.repeated(t, told, provider, key.Secret)
	f.misused(t, told, key.Secret, revoked.Secret)
	f.abandoned(t, key.Secret)
	f.misoperated(t, told, key.Secret, secrets["the admin token"])
	stranger := f.withPassword(t, wrongPassword)
	stored := redis.Everything(t)
	redis.Stop()
	told.hear(f.bare(t).send(t.Context(), wish{secret: unknownSecret(), body: question("gemini-flash", promptCanary)}), &told.other)
	told.operator(f.run(t, "keys", "create", "--tenant", "acme", "--name", "late", "--wait", "0s"))
	_, metrics := f.get(t, "/metrics")
	arguments := f.arguments(t)
	f.stop(t)

	places := map[string]string{
		"the log": f.stdout.String() + f.stderr.String(), "the log of a gateway with a wrong password": stranger.stderr.String(),
		"the spans": fmt.Sprintf("%+v", collector.Spans()), "the exports' headers": fmt.Sprintf("%+v", collector.Exports()),
		"the metrics": metrics, "Redis": stored, "the arguments": arguments,
		"the response headers": told.headers.String(), "the error bodies": told.other.String(), "what operators were told": told.operators.String(),
	}
	for _, s := range collector.Spans() {
		if s.Events != 0 {
			t.Errorf("the span %s has events, which nobody has looked into", s.Name)
		}
	}
	search(t, places, map[string]string{"the prompt": promptCanary, "the answer": answerCanary})
	// A provider's words about a request may quote the prompt, to the one who sent it.
	places["the refusals' messages"] = told.refusals.String()
	search(t, places, secrets)
}

// repeated has the provider answer in all its ways, plain and streamed.
func (f *fleet) repeated(t *testing.T, told *told, provider *parrot, secret string) {
	t.Helper()
	client := f.bare(t)
	good := tune{"a good answer", false, goodAnswer("chatcmpl-1", "m-1", "stop", goodUsage)}
	ask := func(stream bool, play tune) reply {
		provider.next.Store(&play)
		body := question("fourth", promptCanary)
		if stream {
			body = `{"stream":true,` + body[1:]
		}
		before := provider.asked.Load()
		r := client.send(t.Context(), wish{secret: secret, body: body})
		if provider.asked.Load() == before {
			t.Errorf("%s: the provider was not asked: %s", play.name, r)
		}
		return r
	}
	moves := 0
	for _, play := range tunes() {
		for _, stream := range []bool{false, true} {
			moves++
			f.moved(t, moves) // an address that throttles or refuses a key is left alone
			r := ask(stream, play)
			switch {
			case !play.refuses:
				told.hear(r, &told.other)
			case r.status < 400 || r.status > 499:
				t.Errorf("%s, stream: %t: the client sees no refusal but %s", play.name, stream, r)
			default:
				told.refused(t, r)
			}
		}
	}
	if r := ask(true, good); r.status != http.StatusOK || !strings.Contains(r.body, answerCanary) {
		t.Errorf("after all: %s", r)
	}
	const want = `{"error":{"message":"You asked xylophone canary/of the+prompt with [redacted]","type":"invalid_request_error","param":null,"code":"upstream_refused"}}`
	if r := ask(false, tune{"a bad request", true, openAIError(400)}); r.body != want {
		t.Errorf("a refusal reads\n%s, want\n%s", r.body, want)
	}
}

// moved gives the repeating provider another address, of which nothing is known.
func (f *fleet) moved(t *testing.T, times int) {
	t.Helper()
	text, err := os.ReadFile(f.file())
	if err != nil {
		t.Fatal(err)
	}
	address := func(times int) string {
		if times == 0 {
			return `"${FOURTH:-http://127.0.0.1:9/v1}"`
		}
		return fmt.Sprintf(`"${FOURTH:-http://127.0.0.1:9/v1}/%d"`, times)
	}
	before, after := address(times-1), address(times)
	if !strings.Contains(string(text), before) {
		t.Fatalf("the configuration does not hold %s", before)
	}
	publish(t, f.file(), strings.Replace(string(text), before, after, 1))
	f.hangUp(t)
	until(t, "the new address", patience, func() bool { r := f.reloads(t); return r.lastOK && r.succeeded >= times })
}

// abandoned leaves in the middle of a stream, and while a plain answer is being made.
func (f *fleet) abandoned(t *testing.T, secret string) {
	t.Helper()
	f.behave(simulator.Behaviour{Text: strings.Repeat(answerCanary+" ", 1000), Gap: 1e6})
	c := f.call(t, secret)
	for name, by := range map[string]func(context.Context, string) *answer{
		"a stream": func(ctx context.Context, prompt string) *answer {
			return c.stream(ctx, ask("gemini-2.0-flash", prompt))
		},
		"a plain answer": func(ctx context.Context, prompt string) *answer { return c.plain(ctx, ask("gemini-2.0-flash", prompt)) },
	} {
		prompt := promptCanary + ", " + name
		ctx, leave := context.WithCancel(within(t, patience))
		ended := make(chan *answer, 1)
		go func() { ended <- by(ctx, prompt) }()
		if name == "a stream" {
			f.delivering(t, prompt)
		} else if _, err := f.providers.Await(ctx, func(all []simulator.Entry) bool { return strings.Contains(all[len(all)-1].Body, prompt) }); err != nil {
			t.Error(err)
		}
		leave()
		receive(t, ended)
	}
	f.behave(simulator.Behaviour{Text: answerCanary})
}

// withPassword starts a gateway that has a wrong password for Redis.
func (f *fleet) withPassword(t *testing.T, password string) *fleet {
	t.Helper()
	right := f.env["REDIS_PASSWORD"]
	f.env["REDIS_PASSWORD"] = password
	defer func() { f.env["REDIS_PASSWORD"] = right }()
	other := f.beside(t)
	other.logged(t, "why there are no keys", func(l logLine) bool {
		return l.Message == "redis cannot be used yet: it is tried again until it can"
	})
	return other
}

// arguments are what everybody on the machine sees of a running process.
func (p *process) arguments(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.command.Process.Pid))
	if err != nil { // a system without /proc
		return strings.Join(p.command.Args, "\x00")
	}
	return string(raw)
}
