package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	fourthAnswer = `{"id":"x1","object":"chat.completion","created":1,"model":"vendor/large-0001","choices":[{"index":0,"message":{"role":"assistant","content":"It was the fourth."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}`
	fourthStream = `data: {"id":"x2","object":"chat.completion.chunk","created":1,"model":"vendor/large-0001","choices":[{"index":0,"delta":{"role":"assistant","content":"It was"}}]}` + "\n\n" +
		": a comment of its own\n\n" +
		`data: {"id":"x2","object":"chat.completion.chunk","created":1,"model":"vendor/large-0001","choices":[{"index":0,"delta":{"content":" the fourth."},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"x2","object":"chat.completion.chunk","created":1,"model":"vendor/large-0001","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}` + "\n\n" +
		"data: [DONE]\n\n"
)

// fourth is some OpenAI-compatible service, which is none of the three that
// Tollgate has contracts for. It keeps what it was asked.
type fourth struct {
	url   string
	asked chan fourthRequest
}

type fourthRequest struct{ path, authorization, body string }

func newFourth(t *testing.T) *fourth {
	t.Helper()
	s := &fourth{asked: make(chan fourthRequest, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.asked <- fourthRequest{r.Method + " " + r.URL.Path, r.Header.Get("Authorization"), string(body)}
		if strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, fourthStream)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, fourthAnswer)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// got fails the test unless this body was the next that the service received.
func (s *fourth) got(t *testing.T, body string) {
	t.Helper()
	select {
	case r := <-s.asked:
		if want := (fourthRequest{"POST /api/v2/chat/completions", "Bearer " + providerKey, body}); r != want {
			t.Errorf("got  %+v\nwant %+v", r, want)
		}
	case <-within(t, patience).Done():
		t.Fatal("the service was never asked")
	}
}
