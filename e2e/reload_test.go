package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"
)

// file is the path of the gateway's configuration.
func (g *gateway) file() string { return g.command.Args[len(g.command.Args)-1] }

// publish puts another content in the place of a file, all at once.
func publish(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// hangUp asks the gateway to read its configuration again.
func (g *gateway) hangUp(t *testing.T) {
	t.Helper()
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// reloads is what the metrics say of reloading.
type reloads struct {
	succeeded, refused int
	lastOK             bool
}

func (r reloads) tried() int { return r.succeeded + r.refused }

func (g *gateway) reloads(t *testing.T) reloads {
	t.Helper()
	_, text := g.get(t, "/metrics")
	value := func(series string) int {
		_, after, found := strings.Cut(text, "\n"+series+" ")
		digits, _, _ := strings.Cut(after, "\n")
		n, err := strconv.Atoi(digits)
		if !found || err != nil {
			t.Fatalf("%s is %q in\n%s", series, digits, text)
		}
		return n
	}
	return reloads{
		value(`tollgate_config_reloads_total{tollgate_result="succeeded"}`),
		value(`tollgate_config_reloads_total{tollgate_result="refused"}`),
		value(`tollgate_config_last_reload_success`) == 1,
	}
}

// reloaded waits until the metrics say just this.
func (g *gateway) reloaded(t *testing.T, want reloads) {
	t.Helper()
	until(t, fmt.Sprintf("%+v", want), patience, func() bool { return g.reloads(t) == want })
}

// models are those that a key may use, in the order of their names.
func (b bare) models(ctx context.Context, t *testing.T, secret string) []string {
	t.Helper()
	r := b.send(ctx, wish{method: http.MethodGet, path: "/v1/models", secret: secret})
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || r.status != http.StatusOK {
		t.Fatalf("/v1/models answers %s", r)
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	slices.Sort(names)
	return names
}

// withModel is the configuration with one more model, of starmagic.
func withModel(name string) string {
	return strings.Replace(configuration, "models:\n", "models:\n  "+name+": {targets: [{provider: starmagic, model: gemini-2.5-flash-lite}]}\n", 1)
}

// TestReload changes the configuration of a gateway that runs, and a secret that
// it refers to.
func TestReload(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	c, b := f.call(t, secret), f.bare(t)
	before := b.models(t.Context(), t, secret)
	c.plain(t.Context(), ask("new", "Is it there?")).refused(t, refused{404, "invalid_request_error", "model_not_found", "model"})

	publish(t, f.file(), withModel("new")) // nobody tells the gateway
	f.reloaded(t, reloads{succeeded: 1, lastOK: true})
	f.checkText(t, c.plain(t.Context(), ask("new", "Is it there now?")), "Is it there now?")
	f.logged(t, "what has been reloaded", func(l logLine) bool { return l.Level == "INFO" && l.Message == "configuration reloaded" })
	if got, want := b.models(t.Context(), t, secret), append(slices.Clone(before), "new"); !slices.Equal(got, want) {
		t.Errorf("the models are %v, want %v", got, want)
	}

	f.hangUp(t) // although nothing has changed
	f.reloaded(t, reloads{succeeded: 2, lastOK: true})
	publish(t, f.file(), withModel("newer"))
	f.hangUp(t)
	f.reloaded(t, reloads{succeeded: 3, lastOK: true})
	f.checkText(t, c.stream(t.Context(), ask("newer", "And this one?")), "And this one?")
	c.plain(t.Context(), ask("new", "Still there?")).refused(t, refused{404, "invalid_request_error", "model_not_found", "model"})

	f.rotate(t, c)
}

// rotate has the providers change their key, which the gateway has in a file.
func (f *fleet) rotate(t *testing.T, c caller) {
	t.Helper()
	const next = "sk-rotated+5d3b/0c77"
	f.secrets = append(f.secrets, next)
	key := filepath.Join(t.TempDir(), "key")
	publish(t, key, providerKey+"\n")
	publish(t, f.file(), strings.ReplaceAll(configuration, "${PROVIDER_KEY}", "${file:"+key+"}"))
	f.reloaded(t, reloads{succeeded: 4, lastOK: true})
	f.providers.Behave(simulator.Behaviour{Keys: []string{providerKey, next}})
	publish(t, key, next+"\n")
	f.reloaded(t, reloads{succeeded: 5, lastOK: true})
	f.providers.Behave(simulator.Behaviour{Keys: []string{next}})
	for _, model := range publicModels() {
		prompt := "Who is asking for " + model + "?"
		f.checkText(t, c.plain(t.Context(), ask(model, prompt)), prompt)
	}
	for _, e := range f.endpoints(t) {
		if !strings.HasSuffix(e.Credential, next[len(next)-4:]) {
			t.Errorf("operators are shown %+v", e)
		}
	}
}

// endpoint is what operators are shown of one.
type endpoint struct{ Provider, Credential, State string }

func (g *gateway) endpoints(t *testing.T) []endpoint {
	t.Helper()
	var list struct{ Endpoints []endpoint }
	_, body := g.get(t, "/admin/v1/upstreams")
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Endpoints) == 0 {
		t.Fatalf("%v in %s", err, body)
	}
	return list.Endpoints
}

// TestReloadKeepsWhatIsKnown opens the breaker of an endpoint that nobody answers
// at: it stays open through a reload, whatever else that changes.
func TestReloadKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	state := func() string {
		all := f.endpoints(t)
		return all[slices.IndexFunc(all, func(e endpoint) bool { return e.Provider == "fourth" })].State
	}
	until(t, "an open breaker", patience, func() bool {
		c.plain(t.Context(), ask("fourth", "Is anybody there?"))
		return state() == "open"
	})
	publish(t, f.file(), withModel("new"))
	f.hangUp(t)
	f.reloaded(t, reloads{succeeded: 1, lastOK: true})
	if got := state(); got == "ready" { // it may have become half open meanwhile
		t.Errorf("after a reload it is %s", got)
	}
}

// TestRequestsKeepTheirPlan takes a model's price and its provider away while it answers.
func TestRequestsKeepTheirPlan(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	f.behave(simulator.Behaviour{Tokens: 200, Gap: 50 * time.Millisecond})
	const prompt = "Please take your time."
	ended := make(chan *answer, 1)
	go func() { ended <- c.stream(t.Context(), ask("gemini-2.5-flash-lite", prompt)) }()
	f.delivering(t, prompt)
	dearer := strings.ReplaceAll(configuration, `output: "0.40"`, `output: "4.00"`)
	publish(t, f.file(), strings.Replace(dearer, "flash-lite: {targets: [{provider: starmagic}]}", "flash-lite: {targets: [{provider: theturbo, model: gemini-2.0-flash}]}", 1))
	f.hangUp(t)
	f.reloaded(t, reloads{succeeded: 1, lastOK: true})
	f.behave(simulator.Behaviour{})
	late := c.plain(t.Context(), ask("gemini-2.5-flash-lite", "And who are you?"))
	late.complete(t)
	if len(ended) != 0 {
		t.Error("the answer in progress did not last until the reload")
	}
	if r, want := f.record(t, late.id()), (tariff{100, 25, 4000}); r.Provider != "theturbo" || r.Charge != want.charge(r.figures()) {
		t.Errorf("after the reload: %+v", r)
	}
	a := receive(t, ended)
	f.checkBill(t, a, f.checkText(t, a, prompt))
}

// TestBadConfigurationIsNotReloaded offers files that must not come into force.
func TestBadConfigurationIsNotReloaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	c, b := f.call(t, secret), f.bare(t)
	before := b.models(t.Context(), t, secret)
	want := reloads{lastOK: true}
	refuse := func(text, why string) {
		t.Helper()
		publish(t, f.file(), text)
		want.refused, want.lastOK = want.refused+1, false
		f.reloaded(t, want)
		f.stderr.await(t, why, func(log string) bool { return strings.Contains(log, why) })
		if got := b.models(t.Context(), t, secret); !slices.Equal(got, before) {
			t.Errorf("%s: the models are %v, want %v", why, got, before)
		}
		prompt := "Are you there, although: " + why
		f.checkText(t, c.plain(t.Context(), ask("gemini-2.5-flash-lite", prompt)), prompt)
	}
	refuse(withModel("new")+"oops: "+providerKey+"\n", "oops: unknown option")
	refuse(withModel("new")[:400], "providers")
	refuse(strings.Replace(withModel("new"), "server:\n", "server:\n  max_event: 1MiB\n", 1)+"keys: {pepper: "+providerKey+"}\n",
		"server, keys: changed, and obeyed only from the start")
	if log := f.stderr.String(); strings.Count(log, `"level":"ERROR"`) != want.refused {
		t.Errorf("%d bad files, and the log is\n%s", want.refused, log)
	}

	publish(t, f.file(), withModel("new"))
	want.succeeded, want.lastOK = 1, true
	f.reloaded(t, want)
	f.checkText(t, c.plain(t.Context(), ask("new", "Are you new?")), "Are you new?")
}
