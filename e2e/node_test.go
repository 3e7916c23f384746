package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
)

// nodeSDK is openai for Node. See node/run.mjs.
type nodeSDK struct{ *nodeProgram }

// nodeProgram is a client library in a process that works for one test. See node/lines.mjs.
type nodeProgram struct {
	command *exec.Cmd
	stderr  output
	ended   chan struct{} // closed once the process is gone

	mu     sync.Mutex
	input  io.WriteCloser
	asked  int
	events map[int]chan nodeEvent // of the requests that run
}

// nodeRequest is a line that the process reads.
type nodeRequest struct {
	ID      int    `json:"id"`
	BaseURL string `json:"base_url,omitempty"`
	APIKey  string `json:"api_key,omitempty"`
	Params  any    `json:"params,omitempty"`
	Leave   bool   `json:"leave,omitempty"`

	reading chan struct{} // closed when the program has some text of a stream; nil: nobody waits
}

// nodeEvent is a line that the process writes.
type nodeEvent struct {
	ID      int             `json:"id"`
	Reading bool            `json:"reading"`
	Seen    json.RawMessage `json:"seen"`
}

// startNode starts the official client. It ends with the test.
func startNode(t *testing.T) *nodeSDK {
	t.Helper()
	return &nodeSDK{startProgram(t, "node/run.mjs")}
}

// startProgram starts one of the folder's programs. It ends with the test.
func startProgram(t *testing.T, path string) *nodeProgram {
	t.Helper()
	needNode(t)
	n := &nodeProgram{command: exec.Command("node", path), ended: make(chan struct{}), events: map[int]chan nodeEvent{}}
	n.command.Env = []string{"PATH=" + os.Getenv("PATH")} // no real API key, no proxy
	n.command.Stderr = &n.stderr
	stdout, err := n.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if n.input, err = n.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := n.command.Start(); err != nil {
		t.Fatal(err)
	}
	go n.listen(stdout)
	t.Cleanup(func() { n.end(t) })
	return n
}

// needNode fails the test where the clients are not installed as their lock file
// says. It also lets `go test` know which files the result depends on.
func needNode(t *testing.T) {
	t.Helper()
	want, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("node/*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if _, err := os.ReadFile(program); err != nil {
			t.Fatal(err)
		}
	}
	installed, err := os.ReadFile("node/node_modules/.installed.json")
	if err != nil || !bytes.Equal(installed, want) {
		t.Fatal("the clients for Node are not installed as e2e/node/package-lock.json says: run scripts/test-deps")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatalf("%v: run scripts/test-deps, which says what to install", err)
	}
}

// listen hands out what the process writes, until it ends.
func (n *nodeProgram) listen(stdout io.Reader) {
	lines := json.NewDecoder(stdout)
	for {
		var event nodeEvent
		if lines.Decode(&event) != nil {
			break
		}
		n.mu.Lock()
		events := n.events[event.ID]
		n.mu.Unlock()
		if events != nil {
			events <- event
		}
	}
	_ = n.command.Wait() // how it ended is in what it wrote to standard error
	close(n.ended)
}

// end ends the process, which has nothing to do any more.
func (n *nodeProgram) end(t *testing.T) {
	t.Helper()
	n.input.Close()
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Error("node runs on after the end of its input")
		_ = n.command.Process.Kill()
		<-n.ended
	}
	if complaint := n.stderr.String(); complaint != "" {
		t.Errorf("node wrote to standard error:\n%s", complaint)
	}
}

func (n *nodeSDK) chat(ctx context.Context, t *testing.T, r sdkRequest) (seen sdkAnswer) {
	t.Helper()
	n.ask(ctx, t, nodeRequest{BaseURL: r.gateway.url + "/v1", APIKey: r.secret, Params: nodeParams(t, r.params, r.stream), reading: r.reading}, &seen)
	return seen
}

// ask has a request run to its end, and decodes what was seen. When ctx is done
// the program aborts the request.
func (n *nodeProgram) ask(ctx context.Context, t *testing.T, r nodeRequest, seen any) {
	t.Helper()
	events := make(chan nodeEvent, 2) // all that a request has
	n.mu.Lock()
	n.asked++
	r.ID = n.asked
	n.events[r.ID] = events
	n.mu.Unlock()
	n.send(t, r)
	left, overdue := ctx.Done(), time.After(2*patience) // the client's own limit comes first
	for {
		select {
		case event := <-events:
			if event.Seen != nil {
				if err := json.Unmarshal(event.Seen, seen); err != nil {
					t.Errorf("node has written %s: %v", event.Seen, err)
				}
				return
			}
			if r.reading != nil {
				close(r.reading)
			}
		case <-left:
			left = nil
			n.send(t, nodeRequest{ID: r.ID, Leave: true})
		case <-n.ended:
			t.Error("node ended while it was asked something")
			return
		case <-overdue:
			t.Error("node does not come to an end")
			return
		}
	}
}

func (n *nodeProgram) send(t *testing.T, r nodeRequest) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := json.NewEncoder(n.input).Encode(r); err != nil {
		t.Errorf("node does not listen: %v", err)
	}
}

// nodeParams are the parameters as the client for Node takes them: the body, in fact.
func nodeParams(t *testing.T, params openai.ChatCompletionNewParams, stream bool) map[string]any {
	t.Helper()
	raw, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	if stream {
		body["stream"] = true
	}
	return body
}
