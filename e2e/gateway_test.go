package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// gateway is a `tollgate serve` that runs.
type gateway struct {
	*process
	url, admin string // "http://host:port" of its two listeners
	dataDir    string
	checked    bool // its end was asked for and looked at

	issuing sync.Mutex // of tests side by side
	secrets []string   // of the keys issued; none may ever stand in the log
}

// logLine is a line of the gateway's log.
type logLine struct {
	Level     string `json:"level"`
	Message   string `json:"msg"`
	Listen    string `json:"listen"`
	Admin     string `json:"admin"`
	RequestID string `json:"request_id"`
	TraceID   string `json:"trace_id"`
	KeyID     string `json:"key_id"`
	EndReason string `json:"end_reason"`
}

// serve starts a gateway with this configuration and waits until it takes
// traffic. At the end of the test it is stopped, unless it was before.
func serve(t *testing.T, config string, env environment) *gateway {
	t.Helper()
	g := begin(t, config, env)
	g.awaitServing(t)
	return g
}

// begin starts a gateway and does not wait for it.
func begin(t *testing.T, config string, env environment) *gateway {
	t.Helper()
	g := &gateway{process: launch(t, env, "serve", "-c", writeConfig(t, config)), dataDir: env["DATA_DIR"]}
	t.Cleanup(func() { g.stop(t) })
	return g
}

// awaitServing waits until the gateway takes traffic.
func (g *gateway) awaitServing(t *testing.T) {
	t.Helper()
	line := g.logged(t, "the line that tells the addresses", func(l logLine) bool { return l.Message == "serving" })
	g.url, g.admin = "http://"+line.Listen, "http://"+line.Admin
	if status, body := g.get(t, "/readyz"); status != http.StatusOK {
		t.Fatalf("/readyz answered %d %s", status, body)
	}
}

func writeConfig(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stop ends the gateway in an orderly way and holds it to that.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	if !g.checked {
		g.terminate(t)
		g.stopped(t)
	}
}

// kill ends the gateway without a chance to do anything about it.
func (g *gateway) kill(t *testing.T) {
	t.Helper()
	g.checked = true
	if err := g.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	g.exit(t, patience)
}

// stopped waits for the end of a gateway that was asked to end.
func (g *gateway) stopped(t *testing.T) {
	t.Helper()
	g.checked = true
	if code := g.exit(t, patience); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	log := g.stderr.String()
	for _, never := range append([]string{"DATA RACE", "panic", providerKey}, g.secrets...) {
		if strings.Contains(log, never) {
			t.Errorf("the log holds %q:\n%s", never, log)
		}
	}
}

// logged waits for the first line of the log that matches.
func (g *gateway) logged(t *testing.T, what string, matches func(logLine) bool) logLine {
	t.Helper()
	var found logLine
	g.stderr.await(t, what, func(text string) bool {
		for line := range strings.Lines(text) {
			var l logLine
			if json.Unmarshal([]byte(line), &l) == nil && matches(l) {
				found = l
				return true
			}
		}
		select {
		case <-g.ended:
			t.Fatalf("the gateway ended while a test waited for %s:\n%s", what, text)
		default:
		}
		return false
	})
	return found
}

// accessLine waits for the line that every request leaves behind at its very end.
func (g *gateway) accessLine(t *testing.T, requestID string) logLine {
	t.Helper()
	return g.logged(t, "the access line of "+requestID, func(l logLine) bool {
		return l.Message == "request" && l.RequestID == requestID
	})
}

// get asks the operators' API, with the token that the gateway has made, and waits where it is told that there were too many.
func (g *gateway) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(g.dataDir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, patience)
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		r.Close = true
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusTooManyRequests {
			return response.StatusCode, string(raw)
		}
		time.Sleep(operatorsPause)
	}
}

// run runs one of the operator's commands against this gateway, as on the
// gateway's own machine, to its end.
func (g *gateway) run(t *testing.T, args ...string) (exitCode int, p *process) {
	t.Helper()
	p = launch(t, nil, append(args, "--admin", g.admin, "--data-dir", g.dataDir)...)
	return p.exit(t, patience), p
}

// operate runs a command that must succeed, and returns what it printed.
func (g *gateway) operate(t *testing.T, args ...string) string {
	t.Helper()
	code, p := g.run(t, args...)
	if code != 0 {
		t.Fatalf("tollgate %s: exit code %d: %s", strings.Join(args, " "), code, p.stderr.String())
	}
	return p.stdout.String()
}

// operateJSON runs an operator's command with -o json and decodes its output.
func (g *gateway) operateJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out := g.operate(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("tollgate %s printed no JSON: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// record is a usage record in the form that scripts rely on.
type record struct {
	RequestID        string    `json:"request_id"`
	TraceID          string    `json:"trace_id"`
	Kind             string    `json:"kind"`
	Attempt          int       `json:"attempt"`
	Tenant           string    `json:"tenant"`
	KeyID            string    `json:"key_id"`
	Model            string    `json:"model"`
	Provider         string    `json:"provider"`
	Stream           bool      `json:"stream"`
	EndReason        string    `json:"end_reason"`
	Source           string    `json:"source"`
	PromptTokens     int64     `json:"prompt_tokens"`
	CachedTokens     int64     `json:"cached_tokens"`
	CompletionTokens int64     `json:"completion_tokens"`
	ReasoningTokens  int64     `json:"reasoning_tokens"`
	Delivered        int64     `json:"delivered_tokens"`
	MaxCompletion    int64     `json:"max_completion_tokens"`
	Charge           int64     `json:"charge_nanousd"`
	Cost             int64     `json:"cost_nanousd"`
	AcceptedAt       time.Time `json:"accepted_at"`
}

type recordList struct {
	Records []record `json:"records"`
}

// record returns the bill of a request: there is exactly one, whatever attempts there were beside it.
func (g *gateway) record(t *testing.T, requestID string) record {
	t.Helper()
	status, body := g.get(t, "/admin/v1/requests/"+requestID)
	var list recordList
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("request %q: want its records, got %d %s", requestID, status, body)
	}
	bills := settles(list.Records)
	if len(bills) != 1 {
		t.Fatalf("request %q: want one settle, got %s", requestID, body)
	}
	return bills[0]
}

// settles are the bills among the records of a request.
func settles(records []record) (found []record) {
	for _, r := range records {
		if r.Kind == "settle" {
			found = append(found, r)
		}
	}
	return found
}

// issued is a key as `keys create -o json` prints it.
type issued struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Tenant string `json:"tenant"`
}

// issue makes a key for tenant acme, or for whom the flags name.
func (g *gateway) issue(t *testing.T, flags ...string) issued {
	t.Helper()
	args := []string{"keys", "create", "--name", "test"}
	if !strings.Contains(fmt.Sprint(flags), "--tenant") {
		args = append(args, "--tenant", "acme")
	}
	var key issued
	g.operateJSON(t, &key, append(args, flags...)...)
	g.issuing.Lock()
	defer g.issuing.Unlock()
	g.secrets = append(g.secrets, key.Secret)
	return key
}
