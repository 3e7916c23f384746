package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/config"
)

// followed is a reloader at work on a file, in a bubble of time, and what it does.
type followed struct {
	folder string
	hangup chan os.Signal
	reloader

	mu     sync.Mutex
	events []string // since they were last looked at
	fails  error    // of what brings a configuration into force
}

// startReloader starts a reloader on this configuration. It ends with the test.
func startReloader(t *testing.T, text string) *followed {
	t.Helper()
	w := &followed{folder: t.TempDir(), hangup: make(chan os.Signal, 1)}
	w.write(t, text)
	c, read, err := config.LoadSources(w.path("config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.reloader = reloader{log: slog.New(w), follow: w.bring, reloads: &reloads{}, current: c, tried: read, seen: read}
	w.reloads.begin(time.Now())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.run(ctx, w.hangup); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return w
}

func (w *followed) path(file string) string { return filepath.Join(w.folder, file) }

func (w *followed) write(t *testing.T, text string) { w.writeFile(t, "config.yaml", text) }

func (w *followed) writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(w.path(file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *followed) bring(c *config.Config) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails == nil {
		var keys []string
		for _, e := range c.Upstream.Providers["p"].Endpoints {
			keys = append(keys, e.APIKeys[0].Reveal())
		}
		w.events = append(w.events, fmt.Sprint(slices.Sorted(maps.Keys(c.Upstream.Models)), " with ", keys))
	}
	return w.fails
}

// failWith makes bringing a configuration into force fail, or not.
func (w *followed) failWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails = err
}

// want holds what has happened by now, since the last look, against the expectation.
func (w *followed) want(t *testing.T, after time.Duration, want ...string) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.ReplaceAll(strings.Join(w.events, "\n"), w.folder+"/", ""); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	w.events = nil
}

// The log.

func (w *followed) Enabled(context.Context, slog.Level) bool { return true }
func (w *followed) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *followed) WithGroup(string) slog.Handler            { return w }
func (w *followed) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	line, _, _ = strings.Cut(line, "\n") // without the excerpt
	w.events = append(w.events, line)
	return nil
}

// serving is a configuration with these models.
func serving(models ...string) string {
	text := "providers: {p: {contract: openai, endpoints: [{url: 'https://p.example/v1', api_keys: [one]}]}}\nmodels:\n"
	for _, m := range models {
		text += "  " + m + ": {targets: [{provider: p}]}\n"
	}
	return text
}

const refused = "ERROR configuration not reloaded, the one before stays in force error="

// soon is when a changed file must have been taken.
const soon = lookEvery + settleTime

func TestReloadWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		w.want(t, time.Minute)
		w.write(t, serving("a", "b"))
		w.want(t, soon, "[a b] with [one]", "INFO configuration reloaded providers=1 models=2")
		w.want(t, time.Minute)
		if err := os.Chtimes(w.path("config.yaml"), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		w.want(t, time.Minute)
		w.write(t, serving("a"))
		w.want(t, soon, "[a] with [one]", "INFO configuration reloaded providers=1 models=1")
	})
}

func TestReloadWhenASecretIsRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		text := strings.Replace(serving("a"), "[one]", "['${file:"+w.path("secret")+"}']", 1)
		w.write(t, text)
		w.want(t, soon, refused+"config.yaml:1:88: providers.p.endpoints[0].api_keys[0]: ${file:secret}: stat secret: no such file or directory")
		w.writeFile(t, "secret", "two\n")
		w.want(t, soon, "[a] with [two]", "INFO configuration reloaded providers=1 models=1")
		w.writeFile(t, "secret", "three")
		w.want(t, soon, "[a] with [three]", "INFO configuration reloaded providers=1 models=1")
		w.want(t, time.Minute)
	})
}

func TestRefuseABadConfigurationOnce(t *testing.T) {
	const unknown = "config.yaml:1:1: oops: unknown option; known here: server, admin, data_dir, keys, store, providers, models, usage, prices, costs, limits, telemetry"
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		w.write(t, "oops: 1\n")
		w.want(t, soon, refused+unknown)
		w.want(t, time.Minute)
		w.hangup <- os.Interrupt // who asks is told again
		w.want(t, 0, refused+unknown)
		w.write(t, "server: {max_in_flight: 5}\ntelemetry: {log_level: debug}\nlimits: {max_keys: 7}\n"+serving("a", "b"))
		w.want(t, soon, refused+"server, limits.max_keys, telemetry: changed, and obeyed only from the start: restart the gateway, or take the change back")
		w.want(t, time.Minute)
		w.write(t, "")
		w.want(t, soon, refused+"models: none is left, as in a file that is being written: restart the gateway if that is meant")
		w.failWith(errors.New("no room for it"))
		w.write(t, serving("c"))
		w.want(t, soon, refused+"no room for it")
		w.failWith(nil)
		w.write(t, serving("a"))
		w.want(t, soon, "[a] with [one]", "INFO configuration reloaded providers=1 models=1")
	})
}

// TestRefuseToLoseTheLastModel begins without models, as one may. Once there are
// some, a file without any is one that is not written yet.
func TestRefuseToLoseTheLastModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, "")
		w.write(t, "# none yet\n")
		w.want(t, soon, "[] with []", "INFO configuration reloaded providers=0 models=0")
		w.write(t, serving("a"))
		w.want(t, soon, "[a] with [one]", "INFO configuration reloaded providers=1 models=1")
		w.write(t, "")
		w.want(t, soon, refused+"models: none is left, as in a file that is being written: restart the gateway if that is meant")
	})
}

func TestReloadAtHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		for range 2 { // there is no need to wait for a look, nor for a change
			w.hangup <- os.Interrupt
			w.want(t, 0, "[a] with [one]", "INFO configuration reloaded providers=1 models=1")
		}
		w.write(t, serving("b"))
		w.hangup <- os.Interrupt
		w.want(t, 0, "[b] with [one]", "INFO configuration reloaded providers=1 models=1")
		w.want(t, time.Minute)
	})
}

// TestFilesThatAreBeingWritten looks at files while they are incomplete.
func TestFilesThatAreBeingWritten(t *testing.T) {
	const again = "INFO configuration reloaded providers=1 models=1"
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		time.Sleep(lookEvery - time.Millisecond)
		for _, part := range []string{"", serving("b")[:20], serving("b")[:99], serving("b")} { // each look finds another one
			w.write(t, part)
			w.want(t, settleTime)
		}
		w.want(t, settleTime, "[b] with [one]", again)

		// One that stays incomplete is tried, and again when it is complete.
		w.write(t, serving("c")[:20])
		w.want(t, soon, refused+"config.yaml:1:17: not valid YAML: could not find flow map content")
		w.write(t, serving("c"))
		w.want(t, soon, "[c] with [one]", again)

		// One that is gone for a moment, and one that is gone for longer.
		time.Sleep(lookEvery - settleTime)
		if err := os.Rename(w.path("config.yaml"), w.path("away")); err != nil {
			t.Fatal(err)
		}
		w.want(t, settleTime-time.Millisecond)
		if err := os.Rename(w.path("away"), w.path("config.yaml")); err != nil {
			t.Fatal(err)
		}
		w.want(t, time.Minute)
		if err := os.Remove(w.path("config.yaml")); err != nil {
			t.Fatal(err)
		}
		w.want(t, time.Minute, refused+"configuration: stat config.yaml: no such file or directory")
		w.write(t, serving("c"))
		w.want(t, soon, "[c] with [one]", again)
	})
}

func TestReloadsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startReloader(t, serving("a"))
		began := time.Now()
		f := func(text, want string) {
			t.Helper()
			w.write(t, text)
			time.Sleep(time.Minute)
			synctest.Wait()
			s := w.reloads.sum()
			if got := fmt.Sprintf("%d succeeded, %d refused, the last one: %v, in force since %s", s.Succeeded, s.Refused, s.LastOK, s.LoadedAt.Sub(began).Truncate(time.Minute)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		f(serving("a"), "0 succeeded, 0 refused, the last one: true, in force since 0s")
		f(serving("b"), "1 succeeded, 0 refused, the last one: true, in force since 1m0s")
		f("oops: 1", "1 succeeded, 1 refused, the last one: false, in force since 1m0s")
		f("oops: 2", "1 succeeded, 2 refused, the last one: false, in force since 1m0s")
		f(serving("b"), "2 succeeded, 2 refused, the last one: true, in force since 4m0s")
	})
}
