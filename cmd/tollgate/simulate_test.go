package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSimulateFast plays StarMagic alone, and answers any request.
func TestSimulateFast(t *testing.T) {
	simulate := serveInBackground(t, "simulate", "--fast", "--listen", "127.0.0.1:0", "--tokens", "3", "--events-per-write", "2")
	line := simulate.stdout.await(t, "starmagic")
	url := strings.TrimSpace(strings.TrimPrefix(line, "starmagic"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/chat/completions", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if got := string(raw); err != nil || strings.Count(got, `"content":" `) != 2 || !strings.HasSuffix(got, "data: [DONE]\n\n") {
		t.Errorf("%v: %s", err, got)
	}
	if got := simulate.stop(); strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("it printed %q, want one line", got.stdout)
	}
}

func TestSimulateRefusesWhatItWouldIgnore(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		got := tollgate(t, append([]string{"simulate"}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, "--events-per-write is for --fast without --gap") {
			t.Errorf("%q: exit code %d, %s", args, got.code, got.stderr)
		}
	}
	f("--events-per-write", "2")
	f("--fast", "--gap", "1ms", "--events-per-write", "2")
}
