package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// puppet is a provider that says what a test tells it, when it tells it: the
// order of what happens is then the test's, on a machine of any speed. It is
// the model `fourth` of a gateway whose environment has its URL as FOURTH.
type puppet struct {
	url string

	mu    sync.Mutex
	parts map[string]*part // by prompt
}

// part is what the puppet does when it is asked this prompt.
type part struct {
	asked chan struct{} // closed when the request is there
	gone  chan struct{} // closed when the gateway leaves before the answer's end
	say   chan string   // each is sent at once; closed, the answer is over
}

// newPuppet starts one. It must be there before the gateway, so that it ends after it.
func newPuppet(t *testing.T) *puppet {
	t.Helper()
	p := &puppet{parts: map[string]*part{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gateway has left already
		}
		if part := p.find(string(body)); part == nil {
			t.Errorf("the puppet was asked what no test has announced: %s", body)
		} else {
			part.play(w, r, strings.Contains(string(body), `"stream":true`))
		}
	}))
	t.Cleanup(server.Close)
	p.url = server.URL + "/v1"
	return p
}

// expect announces a request with this prompt.
func (p *puppet) expect(prompt string) *part {
	const ahead = 64 // texts that a test may say before the first is sent
	part := &part{asked: make(chan struct{}), gone: make(chan struct{}), say: make(chan string, ahead)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[prompt] = part
	return part
}

func (p *puppet) find(body string) *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	for prompt, part := range p.parts {
		if strings.Contains(body, prompt) {
			return part
		}
	}
	return nil
}

func (p *part) play(w http.ResponseWriter, r *http.Request, stream bool) {
	close(p.asked)
	w.Header().Set("Content-Type", "application/json")
	if stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	for {
		select {
		case text, more := <-p.say:
			if !more {
				return
			}
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush() // who has left is noticed below
		case <-r.Context().Done():
			close(p.gone)
			return
		}
	}
}

// word is an event of a stream that says one word.
func word(text string) string {
	return `data: {"id":"p1","object":"chat.completion.chunk","created":1,"model":"vendor/large","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

// lastWords are the events that end a stream.
const lastWords = `data: {"id":"p1","object":"chat.completion.chunk","created":1,"model":"vendor/large","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
	"data: [DONE]\n\n"

// end says this and ends the answer.
func (p *part) end(last string) {
	p.say <- last
	close(p.say)
}

// happens waits for one of the moments of a part.
func happens(t *testing.T, what string, moment <-chan struct{}) {
	t.Helper()
	if !wait(within(t, patience), moment) {
		t.Fatalf("waited in vain for %s", what)
	}
}
