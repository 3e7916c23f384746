package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// mutation is one of many versions of a configuration.
type mutation struct {
	text   string // empty: the file is gone
	models []string
	broken string // how; empty: it is not
}

// mutator makes them. All of them serve the model that the load asks for, each
// by other endpoints, weights and tiers.
type mutator struct {
	random    *rand.Rand
	addresses []string // of the simulator
}

func (m mutator) one(of ...string) string { return of[m.random.IntN(len(of))] }

func (m mutator) upTo(n int) int { return 1 + m.random.IntN(n) }

func (m mutator) next() mutation {
	head, _, _ := strings.Cut(configuration, "providers:")
	_, tail, _ := strings.Cut(configuration, "telemetry:")
	providers, models, prices := "", "", ""
	all := mutation{models: []string{"gemini-2.5-flash-lite"}}
	for _, p := range simulator.Providers() {
		providers += fmt.Sprintf("  %s: {contract: %s, endpoints: [%s]}\n", p, p, m.endpoints(p))
	}
	models += "  gemini-2.5-flash-lite: {targets: [" + m.targets() + "]}\n"
	for i := range m.random.IntN(5) {
		name := fmt.Sprintf("extra-%d", i)
		all.models = append(all.models, name)
		models += fmt.Sprintf("  %s: {policy: %s, targets: [%s]}\n", name, m.one("p2c", "weighted", "least_pending"), m.targets())
	}
	for _, name := range all.models[:m.upTo(len(all.models))] {
		prices += fmt.Sprintf("  - {model: %s, input: \"0.%d\", output: \"%d\"}\n", name, m.upTo(99), m.upTo(9))
	}
	slices.Sort(all.models)
	limits := fmt.Sprintf("limits: {default: {requests_per_minute: %s}}\n", m.one("0", "1000000", "2000000"))
	all.text = head + "providers:\n" + providers + "models:\n" + models + "prices:\n" + prices + limits + "telemetry:" + tail
	if m.random.IntN(2) == 0 {
		m.spoil(&all)
	}
	return all
}

// endpoints are some of the addresses, in any order.
func (m mutator) endpoints(p simulator.Provider) string {
	var list []string
	for _, i := range m.random.Perm(len(m.addresses))[:m.upTo(len(m.addresses))] {
		list = append(list, fmt.Sprintf(`{url: "%s/%s/v1", api_keys: ["${PROVIDER_KEY}"], weight: %d}`, m.addresses[i], p, m.upTo(5)))
	}
	return strings.Join(list, ", ")
}

// targets are one provider, or several in tiers.
func (m mutator) targets() string {
	list := []string{fmt.Sprintf(`{provider: starmagic, model: gemini-2.5-flash-lite, weight: %d, tier: %d}`, m.upTo(5), m.upTo(3))}
	if m.random.IntN(2) == 0 {
		list = append(list, fmt.Sprintf(`{provider: theturbo, model: gemini-2.0-flash, weight: %d, tier: %d}`, m.upTo(5), m.upTo(3)))
	}
	return strings.Join(list, ", ")
}

// spoil makes a mutation one that must not come into force.
func (m mutator) spoil(one *mutation) {
	one.broken = m.one("gone", "empty", "cut", "unknown option", "wrong type", "twice", "server", "store", "no such provider", "no such file")
	switch one.broken {
	case "gone":
		one.text = ""
	case "empty":
		one.text = "\n"
	case "cut":
		one.text = one.text[:strings.Index(one.text, "models:")-m.upTo(9)]
	case "unknown option":
		one.text = strings.Replace(one.text, "contract:", "contrat:", 1)
	case "wrong type":
		one.text = strings.Replace(one.text, "weight: ", "weight: x", 1)
	case "twice":
		one.text += "limits: {}\n"
	case "server":
		one.text = strings.Replace(one.text, "server:\n", fmt.Sprintf("server:\n  max_event: %dMiB\n", m.upTo(9)), 1)
	case "store":
		one.text += `store: {redis: {addresses: ["127.0.0.1:9"]}}` + "\n"
	case "no such provider":
		one.text = strings.Replace(one.text, "{provider: starmagic", "{provider: nobody", 1)
	case "no such file":
		one.text = strings.Replace(one.text, "${PROVIDER_KEY}", "${file:/nowhere/key}", 1)
	}
}

// TestMutatedConfigurations reloads 200 versions of a configuration, half of them
// broken, while clients ask without a pause: not one of them notices.
func TestMutatedConfigurations(t *testing.T) {
	t.Parallel()
	const mutations, seed = 200, 8
	f := newFleet(t, environment{"REQUESTS_PER_MINUTE": "0"})
	second, err := f.providers.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close(within(t, patience)) })
	f.behave(simulator.Behaviour{Gap: 15 * time.Millisecond})                     // an answer outlives several reloads
	f.behave(simulator.Behaviour{Gap: 100 * time.Millisecond}, simulator.Evolink) // and this one its model
	secret := f.issue(t).Secret
	c, b := f.call(t, secret), f.bare(t)
	const prompt = "Please stay until I have left."
	leaving := make(chan *answer, 1)
	go func() { leaving <- c.stream(t.Context(), ask("gemini-3-pro-preview", prompt)) }()
	f.delivering(t, prompt)
	traffic := startLoad(t, secret, f.gateway, f.gateway, f.gateway, f.gateway)

	m := mutator{rand.New(rand.NewPCG(seed, 0)), []string{f.env["SIMULATOR"], second.URL()}}
	inForce, broken, tried := b.models(t.Context(), t, secret), 0, 0
	began := time.Now()
	for i := range mutations {
		one := m.next()
		f.put(t, one)
		var after reloads
		until(t, "the end of a reload", patience, func() bool { after = f.reloads(t); return after.tried() > tried })
		tried = after.tried()
		if one.broken == "" {
			inForce = one.models
		} else {
			broken++
		}
		if got := b.models(t.Context(), t, secret); after.lastOK != (one.broken == "") || !slices.Equal(got, inForce) {
			t.Fatalf("mutation %d (broken: %q): in force: %v, the models are %v, want %v; the file was\n%s", i, one.broken, after.lastOK, got, inForce, one.text)
		}
	}
	t.Logf("%d reloads, %d of them refused, in %s", mutations, broken, time.Since(began).Round(time.Millisecond))
	if sum := f.reloads(t); broken < mutations/4 || broken > 3*mutations/4 || sum.refused < broken || sum.succeeded < mutations-broken {
		t.Errorf("%d of %d were broken, and the metrics say %+v", broken, mutations, sum)
	}
	answered := traffic.everyoneServed(t)
	traffic.end(t)
	f.checkText(t, receive(t, leaving), prompt)
	t.Logf("%d answers", answered)
	f.bothAsked(t, m.addresses)
}

// put puts a mutation in the place of the configuration, and asks for a reload.
func (f *fleet) put(t *testing.T, one mutation) {
	t.Helper()
	if one.text == "" {
		if err := os.Remove(f.file()); err != nil {
			t.Fatal(err)
		}
	} else {
		publish(t, f.file(), one.text)
	}
	f.hangUp(t)
}

// bothAsked makes sure that the load went wherever it was sent.
func (f *fleet) bothAsked(t *testing.T, addresses []string) {
	t.Helper()
	asked := map[string]int{}
	for _, e := range f.providers.Truth() {
		asked["http://"+e.Header.Get("Host")]++
	}
	for _, address := range addresses {
		if asked[address] == 0 {
			t.Errorf("nobody asked %s: %v", address, asked)
		}
	}
}
