package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// bare is a tenant's program that leaves everything to the test: what is sent,
// and what to make of the answer. Several goroutines may use one.
type bare struct {
	url  string
	http *http.Client
}

// bare returns a client that keeps its connections to this gateway.
func (g *gateway) bare(t *testing.T) bare {
	t.Helper()
	const connections = 16
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return bare{g.url, &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// wish is a request: POST to the completions where nothing else is said.
type wish struct {
	method, path, secret, body string
	header                     http.Header
}

// reply is an answer as it came over the wire.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // the transfer's
}

// send sends a wish and reads the answer to its end.
func (b bare) send(ctx context.Context, w wish) reply {
	if w.method == "" {
		w.method = http.MethodPost
	}
	if w.path == "" {
		w.path = "/v1/chat/completions"
	}
	request, err := http.NewRequestWithContext(ctx, w.method, b.url+w.path, strings.NewReader(w.body))
	if err != nil {
		return reply{err: err}
	}
	if w.header != nil {
		request.Header = w.header
	}
	if w.secret != "" {
		request.Header.Set("Authorization", "Bearer "+w.secret)
	}
	response, err := b.http.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body), err}
}

// code is the code of the error answered, empty where none was.
func (r reply) code() string {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(r.body), &body) != nil {
		return ""
	}
	return body.Error.Code
}

// String says what came, for a test that wanted something else.
func (r reply) String() string { return fmt.Sprintf("%d %s %v", r.status, r.body, r.err) }

// question is the body of a request of one message.
func question(model, prompt string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, prompt)
}
