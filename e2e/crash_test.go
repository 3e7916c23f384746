package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/tiktoken-go/tokenizer/codec"
)

// crashBinary is the gateway that dies where it is told to.
var crashBinary = sync.OnceValues(func() (string, error) {
	return build(filepath.Dir(binary), "tollgate-crash", "-race", "-tags", "crashpoints")
})

// mortal is a gateway that dies again and again, always on the same data, and all
// that is known of it.
type mortal struct {
	*fleet
	*market
	evidence *evidence
	chance   *rand.Rand
	deaths   int
	kept     string // where archived segments are; empty: none were
}

// newMortal makes one that is dead, for the present.
func newMortal(t *testing.T, seed uint64) *mortal {
	t.Helper()
	path, err := crashBinary()
	if err != nil {
		t.Fatal(err)
	}
	env := environment{binaryVariable: path, "REQUESTS_PER_MINUTE": "0", "MAX_JOURNAL": "16MiB", "MAX_COMPLETION_TOKENS": unboundedCompletions}
	m := &mortal{
		fleet:    newFleetWith(t, simulator.Options{TruthEntries: 1 << 16, TruthBytes: 8 << 10}, env),
		evidence: &evidence{ledger: map[string][]record{}, sums: map[string]sums{}, tokenizer: codec.NewO200kBase(), unsaved: usuallyUnsaved},
		chance:   rand.New(rand.NewPCG(29, seed)),
	}
	m.market = newMarket(m.issue(t).Secret, seed)
	m.kill(t)
	long := simulator.Behaviour{Tokens: 700, Gap: time.Millisecond, CachedTokens: 3, ReasoningTokens: 5}
	slow := simulator.Behaviour{Tokens: 40, Gap: time.Millisecond, CachedTokens: 3, ReasoningTokens: 5}
	if proving() { // longer than the 2 s after which a checkpoint is due
		long.Gap, slow.Gap = 4*time.Millisecond, 70*time.Millisecond
	}
	m.behave(long)
	m.behave(slow, simulator.Evolink)
	m.inject(t,
		simulator.Fault{Kind: simulator.Respond, Status: 503, Provider: simulator.TheTurbo, Every: 7},
		simulator.Fault{Kind: simulator.Drop, Provider: simulator.StarMagic, Every: 9},
		simulator.Fault{Kind: simulator.CutBetween, Events: 5, Provider: simulator.Evolink, Every: 11})
	return m
}

// revive starts the gateway once more, which may die at this point, such as
// settle.after_write:17. It reports whether it came to serve.
func (m *mortal) revive(t *testing.T, at string) (serving bool) {
	t.Helper()
	m.env["CRASH_AT"] = at
	m.gateway = begin(t, configuration, m.env)
	m.stderr.await(t, "a gateway that serves or dies", func(text string) bool {
		select {
		case <-m.ended:
			return true
		default:
		}
		for line := range strings.Lines(text) {
			var l logLine
			if json.Unmarshal([]byte(line), &l) == nil && l.Message == "serving" {
				m.url, m.admin, serving = "http://"+l.Listen, "http://"+l.Admin, true
			}
		}
		return serving
	})
	return serving
}

// killed lets the gateway work for so long and then kills it.
func (m *mortal) killed(t *testing.T, after time.Duration) {
	t.Helper()
	if !m.revive(t, "") {
		m.buried(t, "start")
		return
	}
	var open sync.WaitGroup
	open.Go(func() { m.open(t.Context(), m.gateway, fmt.Sprint("kill ", m.deaths+1)) })
	time.Sleep(after)
	m.kill(t)
	open.Wait()
	m.buried(t, "kill -9")
}

// buried holds the gateway to having been killed, and reads what it has left behind.
func (m *mortal) buried(t *testing.T, at string) {
	t.Helper()
	m.exit(t, patience)
	m.checked = true
	m.deaths++
	status, ok := m.command.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%s: the gateway ended with %s, want SIGKILL", at, m.command.ProcessState)
	}
	log := m.stderr.String()
	for _, never := range []string{"DATA RACE", "panic", providerKey, m.secret} {
		if strings.Contains(log, never) {
			t.Errorf("%s: the log holds %q:\n%s", at, never, log)
		}
	}
	m.readIntents(t)
}

// readIntents adds what the journal holds of intents that were not known.
func (m *mortal) readIntents(t *testing.T) {
	t.Helper()
	known := map[string]bool{}
	for _, i := range m.evidence.intents {
		known[fmt.Sprint(i.RequestID, i.Attempt)] = true
	}
	for _, w := range append(readJournal(t, m.dataDir), m.pruned(t)...) {
		if key := fmt.Sprint(w.RequestID, w.Attempt); w.Kind == "intent" && !known[key] {
			known[key] = true
			m.evidence.intents = append(m.evidence.intents, w.record)
		}
	}
}

// archived begins to archive, and returns what ends it.
func (m *mortal) archived(t *testing.T) (end func()) {
	t.Helper()
	if m.kept == "" {
		m.kept = t.TempDir()
		if err := os.Mkdir(filepath.Join(m.kept, "journal"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var archiving sync.WaitGroup
	from, to := filepath.Join(m.env["DATA_DIR"], "journal"), filepath.Join(m.kept, "journal")
	archiving.Go(func() { archive(ctx, t, from, to) })
	return func() { cancel(); archiving.Wait() }
}

// archive keeps the segments that a gateway lets go of, until the context ends.
func archive(ctx context.Context, t *testing.T, from, to string) {
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		paths, _ := filepath.Glob(filepath.Join(from, "*.segment"))
		for _, path := range paths {
			err := os.Link(path, filepath.Join(to, filepath.Base(path)))
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// pruned is what stands in the segments that were archived.
func (m *mortal) pruned(t *testing.T) []written {
	t.Helper()
	if m.kept == "" {
		return nil
	}
	return readJournal(t, m.kept)
}

// judged starts the gateway for good, reads its books and holds them against the truth.
func (m *mortal) judged(t *testing.T) {
	t.Helper()
	if !m.revive(t, "") {
		t.Fatal("the gateway does not start any more")
	}
	e := m.evidence
	truth, err := m.providers.Settled(within(t, patience), 0)
	if err != nil {
		t.Fatalf("a provider is still working: %v", err)
	}
	e.customers, e.truth = m.customers, truth
	maps.Copy(e.ledger, m.records(t, e.requests()))
	e.sums = m.sums(t)
	e.judge()
	m.stop(t)
	recovered := 0
	for _, records := range e.ledger {
		if bills := settles(records); len(bills) == 1 && bills[0].EndReason == "recovered" {
			recovered++
		}
	}
	t.Logf("%d deaths: %d customers in %s, %d whole answers, %d upstream requests, %d intents, %d recovered",
		m.deaths, len(m.customers), m.opened.Round(time.Millisecond), m.served(), len(truth), len(e.intents), recovered)
	e.wrong.fail(t)
}

// sums are the totals of each model.
func (g *gateway) sums(t *testing.T) map[string]sums {
	t.Helper()
	status, body := g.get(t, "/admin/v1/usage?by=model")
	var rows usageRows
	if err := json.Unmarshal([]byte(body), &rows); err != nil || status != http.StatusOK {
		t.Fatalf("the totals are %d %s", status, body)
	}
	found := map[string]sums{}
	for _, r := range rows.Rows {
		found[r.Model] = sums{
			total: total{r.Requests, r.Estimated, nanos(t, r.Charge), figures{r.PromptTokens, r.CachedTokens, r.CompletionTokens, r.ReasoningTokens}},
			cost:  nanos(t, r.Cost),
		}
	}
	return found
}
