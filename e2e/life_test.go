package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3/option"
)

// streaming begins a stream with this prompt and returns once the provider has
// delivered a few tokens of it. The answer comes when the stream has ended.
func (f *fleet) streaming(t *testing.T, c caller, model, prompt string) <-chan *answer {
	t.Helper()
	ended := make(chan *answer, 1)
	ctx := within(t, patience)
	go func() { ended <- c.stream(ctx, ask(model, prompt)) }()
	f.delivering(t, prompt)
	return ended
}

// delivering waits until the provider has delivered a few tokens for this prompt.
func (f *fleet) delivering(t *testing.T, prompt string) {
	t.Helper()
	_, err := f.providers.Await(within(t, patience), func(all []simulator.Entry) bool {
		for _, e := range all {
			if strings.Contains(e.Body, prompt) && e.TokensWritten >= 3 {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("%q is not being answered: %v", prompt, err)
	}
}

func receive(t *testing.T, ended <-chan *answer) *answer {
	t.Helper()
	select {
	case a := <-ended:
		return a
	case <-time.After(patience):
		t.Fatal("the stream does not end")
		return nil
	}
}

// TestDrain asks the gateway to end while it streams: nobody new is let in, the
// stream goes on to its end, and what was stored is there after the restart.
func TestDrain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": patience.String()})
	key := f.issue(t)
	f.behave(simulator.Behaviour{Tokens: 200, Gap: 50 * time.Millisecond})
	const prompt = "Please take your time"
	ended := f.streaming(t, f.call(t, key.Secret), "gemini-2.5-flash-lite", prompt)
	f.terminate(t)
	f.logged(t, "the drain", func(l logLine) bool { return l.Message == "draining" })
	if status, body := f.get(t, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d %s while draining, want 503", status, body)
	}
	if status, _ := f.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d while draining, want 200", status)
	}
	refusesConnections(t, f.url)
	for _, e := range f.providers.Truth() {
		if !e.Ended.IsZero() {
			t.Errorf("the stream had ended before the gateway refused connections, which proves nothing: %+v", e)
		}
	}
	a := receive(t, ended)
	e := f.checkText(t, a, prompt)
	f.stopped(t)

	f.behave(simulator.Behaviour{})
	f.restart(t)
	f.checkBill(t, a, e)
	c := f.call(t, key.Secret)
	c.plain(t.Context(), ask("gemini-flash", "Is my key still good?")).complete(t)
	if rows := c.ownUsage(t).Rows; len(rows) != 2 || rows[0].Requests != 1 || rows[1].Requests != 1 {
		t.Errorf("after the restart the key has used %+v, want one request of each model", rows)
	}
}

// refusesConnections waits until nobody listens at the address any more.
func refusesConnections(t *testing.T, url string) {
	t.Helper()
	ctx := within(t, patience)
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		switch {
		case err == nil:
			conn.Close()
		case !errors.Is(err, syscall.ECONNRESET): // as the listener closes, whoever still waits for it is reset
			t.Fatal(err)
		}
	}
}

// TestDrainHasAnEnd lets a stream go on for longer than the drain may take: it
// is cut short visibly, what was delivered is on the bill, and the exit is clean.
func TestDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"DRAIN_TIMEOUT": "1s"})
	c := f.call(t, f.issue(t).Secret)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 20 * time.Millisecond})
	streams := map[string]<-chan *answer{}
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash"} {
		streams[model] = f.streaming(t, c, model, "Please never end, "+model)
	}
	began := time.Now()
	f.terminate(t)
	f.stopped(t)
	if took := time.Since(began); took < time.Second {
		t.Errorf("the gateway ended after %s, before the second that draining may take", took)
	}
	f.restart(t)
	for model, ended := range streams {
		a := receive(t, ended)
		a.interrupted(t, "shutting_down")
		e := f.attempt(t, "Please never end, "+model)
		if !e.ClientGone {
			t.Errorf("the provider was not told: %+v", e)
		}
		f.checkPartial(t, f.record(t, a.id()), e, "shutdown")
	}
}

// TestClientLeaves walks away in the middle of a stream: the provider may stop
// at once, and what was delivered until then is on the bill.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	c := f.call(t, f.issue(t).Secret)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 2 * time.Millisecond})
	for _, model := range []string{"gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			prompt := "Please do not stop before I leave, " + t.Name()
			ctx, leave := context.WithCancel(within(t, patience))
			defer leave()
			ended, reading := make(chan *answer, 1), make(chan struct{})
			go func() { ended <- c.stream(ctx, ask(model, prompt), onceRead(reading)) }()
			if !wait(ctx, reading) {
				t.Fatal("the client has nothing to read")
			}
			leave()
			a := receive(t, ended)
			if !errors.Is(a.err, context.Canceled) || a.text() == "" {
				t.Fatalf("the client has %q, %v", a.text(), a.err)
			}
			line := f.accessLine(t, a.id())
			e := f.attempt(t, prompt)
			if !e.ClientGone || e.Done || e.TokensWritten > 5000 {
				t.Errorf("the provider went on: %d tokens written, %+v", e.TokensWritten, e)
			}
			if line.EndReason != "client_gone" {
				t.Errorf("the access line says %q", line.EndReason)
			}
			f.checkPartial(t, f.record(t, a.id()), e, "client_gone")
		})
	}
}

// onceRead closes reading when the client asks for more of its answer, having
// read some of it several times.
func onceRead(reading chan struct{}) option.RequestOption {
	const several = 8
	return option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		response, err := next(r)
		if err != nil {
			return response, err
		}
		reads, body := 0, response.Body
		response.Body = struct {
			io.Reader
			io.Closer
		}{readFunc(func(p []byte) (int, error) {
			if reads++; reads == several {
				close(reading)
			}
			return body.Read(p)
		}), body}
		return response, nil
	})
}

// readFunc is a function that reads.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestKilled ends the gateway as hard as the system can, in the middle of a
// stream: every answer that a client has whole is on the bill all the same.
func TestKilled(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	key := f.issue(t)
	c := f.call(t, key.Secret)
	answers := map[*answer]simulator.Entry{}
	for _, model := range publicModels() {
		prompt := "Please answer before the end, " + model
		a := c.plain(t.Context(), ask(model, prompt+", plainly"))
		answers[a] = f.checkText(t, a, prompt+", plainly")
		a = c.stream(t.Context(), ask(model, prompt+", in a stream"))
		answers[a] = f.checkText(t, a, prompt+", in a stream")
	}
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 2 * time.Millisecond})
	ended := f.streaming(t, c, "gemini-2.5-flash-lite", "Please go on until the end")
	f.kill(t)
	if a := receive(t, ended); a.err == nil || strings.Contains(a.wire.String(), "[DONE]") {
		t.Errorf("a stream that was killed looks whole: %v", a.err)
	}
	f.behave(simulator.Behaviour{})
	f.restart(t)
	for a, e := range answers {
		f.checkBill(t, a, e)
	}
	f.call(t, key.Secret).plain(t.Context(), ask("gemini-flash", "Is my key still good?")).complete(t)
}

// TestOneProcessPerDataDir starts a second gateway on the same data: it must not
// run, and it says why.
func TestOneProcessPerDataDir(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	second := launch(t, f.env, "serve", "-c", writeConfig(t, configuration))
	if code := second.exit(t, patience); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	complaint := lastLine(second.stderr.String())
	for _, want := range []string{"tollgate: data_dir:", f.dataDir, "another process holds it", "data_dir of its own"} {
		if !strings.Contains(complaint, want) {
			t.Errorf("the complaint is %q, want it to hold %q", complaint, want)
		}
	}
	f.call(t, f.issue(t).Secret).plain(t.Context(), ask("gemini-flash", "Are you still there?")).complete(t)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestBadConfiguration starts a gateway on a file with mistakes: nothing runs,
// and each mistake is shown where it stands.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	const bad = `server:
  listen: 127.0.0.1:0
  drain_timout: 5s
data_dir: ./nowhere
models:
  gemini-flash: {targets: [{provider: starmagic, weight: heavy}]}
`
	path := writeConfig(t, bad)
	p := launch(t, nil, "serve", "-c", path)
	if code := p.exit(t, patience); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	complaint := p.stderr.String()
	for _, want := range []string{path + ":3:3: ", "drain_timout", "> 3 |   drain_timout:", path + ":6:58: ", "weight: heavy"} {
		if !strings.Contains(complaint, want) {
			t.Errorf("the complaint does not hold %q:\n%s", want, complaint)
		}
	}
	p = launch(t, nil, "serve", "-c", path+".missing")
	if code := p.exit(t, patience); code != 2 || !strings.Contains(p.stderr.String(), path+".missing") {
		t.Errorf("a file that is not there: exit code %d: %s", code, p.stderr.String())
	}
}

// TestAddressInUse starts a gateway where somebody listens already.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := strings.Replace(configuration, "listen: 127.0.0.1:0", "listen: "+ln.Addr().String(), 1)
	p := launch(t, environment{"SIMULATOR": "http://127.0.0.1:9", "PROVIDER_KEY": providerKey, "DATA_DIR": t.TempDir()},
		"serve", "-c", writeConfig(t, taken))
	if code := p.exit(t, patience); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got := lastLine(p.stderr.String()); !strings.Contains(got, "server.listen") || !strings.Contains(got, ln.Addr().String()) {
		t.Errorf("the complaint is %q", got)
	}
}
