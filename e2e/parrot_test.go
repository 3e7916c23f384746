package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// parrot is a provider that repeats what it was sent, in every place where a
// careless or a hostile one might.
type parrot struct {
	url   string
	asked atomic.Int64
	next  atomic.Pointer[tune]
}

// heard is what the parrot was sent.
type heard struct {
	key, prompt string
	stream      bool
}

// tune is one way to answer.
type tune struct {
	name string
	// refuses says that the answer is a refusal of the request itself, whose message the client may read.
	refuses bool
	play    func(http.ResponseWriter, heard)
}

func newParrot(t *testing.T) *parrot {
	t.Helper()
	p := new(parrot)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		var body struct {
			Stream   bool                       `json:"stream"`
			Messages []struct{ Content string } `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Messages) != 1 {
			t.Errorf("the provider was sent %+v: %v", body, err)
			return
		}
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		p.next.Load().play(w, heard{key, body.Messages[0].Content, body.Stream})
	}))
	t.Cleanup(server.Close)
	p.url = server.URL + "/v1"
	return p
}

// tunes are all ways to answer, but the good one.
func tunes() []tune {
	all := []tune{
		{"a redirect", false, respond(302, "moved")},
		{"no credit", false, openAIError(402)},
		{"a key refused", false, openAIError(401)},
		{"a key forbidden", false, openAIError(403)},
		{"throttled", false, openAIError(429)},
		{"an internal error", false, openAIError(500)},
		{"a stack trace", false, respond(503, "panic: KEY asked PROMPT")},
		{"a bad request", true, openAIError(400)},
		{"not found", true, openAIError(404)},
		{"unprocessable", true, openAIError(422)},
		{"a bad request in HTML", true, respond(400, "<h1>KEY asked PROMPT</h1>")},
		{"an error in a 200", false, respond(200, `{"error":{"message":"KEY asked PROMPT"}}`)},
		{"half an answer", false, respond(200, `{"id":"x","choices":[{"message":{"content":"PROMPT KEY`)},
		{"no HTTP", false, hijacked("KEY PROMPT\r\n\r\n")},
		{"a status of its own", false, hijacked("HTTP/1.1 KEY PROMPT\r\n\r\n")},
		{"a header without a colon", false, hijacked("HTTP/1.1 200 OK\r\nKEY PROMPT\r\n\r\n")},
		{"a length of its own", false, hijacked("HTTP/1.1 200 OK\r\nContent-Length: KEY\r\n\r\nPROMPT")},
		{"a coding of its own", false, hijacked("HTTP/1.1 200 OK\r\nTransfer-Encoding: KEY\r\n\r\nPROMPT")},
		{"a broken chunk", false, hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nKEY PROMPT\r\n")},
		{"an error in a stream", false, streamed(goodChunk, `{"error":{"message":"KEY asked PROMPT","type":"KEY","code":"PROMPT"}}`)},
		{"a broken event", false, streamed(goodChunk, `{"choices":[{"delta":{"content":"PROMPT KEY`)},
		{"an event that is no JSON", false, streamed("KEY PROMPT")},
		{"usage of its own", false, goodAnswer("chatcmpl-1", "m-1", "stop", `{"prompt_tokens":-1,"KEY":"PROMPT"}`)},
		{"something behind the answer", false, behindTheAnswer},
		{"the key for an id", false, goodAnswer("KEY", "KEY", "stop", goodUsage)},
		{"the prompt for an id", false, goodAnswer("PROMPT", "PROMPT", "PROMPT", goodUsage)},
	}
	for i, form := range []func(string) string{
		func(s string) string { return s },
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return base64.URLEncoding.EncodeToString([]byte("Bearer " + s)) },
		func(s string) string { return hex.EncodeToString([]byte(s)) },
		func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte("Bearer " + s))) },
		url.QueryEscape,
		url.PathEscape,
	} {
		play := func(w http.ResponseWriter, h heard) {
			message := fmt.Sprintf("You asked %s with %s, that is %q.", h.prompt, form(h.key), form(h.key))
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": form(h.key), "param": form(h.key), "code": form(h.key)}})
		}
		all = append(all, tune{fmt.Sprintf("the key in form %d", i), true, play})
	}
	return all
}

const (
	goodChunk = `{"id":"x","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":"ANSWER"}}]}`
	goodUsage = `{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}`
)

// fill puts in what was heard, and the answer.
func (h heard) fill(template string) string {
	return strings.NewReplacer("KEY", h.key, "PROMPT", h.prompt, "ANSWER", answerCanary).Replace(template)
}

// respond answers with a status and a body, and repeats in the header too.
func respond(status int, body string) func(http.ResponseWriter, heard) {
	return func(w http.ResponseWriter, h heard) {
		for _, name := range []string{"X-Request-Id", "X-Debug", "Set-Cookie", "Www-Authenticate", "Retry-After", "X-Ratelimit-Limit-Requests", "Openai-Organization"} {
			w.Header().Set(name, h.fill("KEY PROMPT"))
		}
		w.Header().Set("Location", h.fill("https://KEY@example.com/PROMPT"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, h.fill(body))
	}
}

func openAIError(status int) func(http.ResponseWriter, heard) {
	return respond(status, `{"error":{"message":"You asked PROMPT with KEY.","type":"KEY","param":"KEY","code":"PROMPT"}}`)
}

// streamed sends events; a request for a plain answer gets them too, as one that is none.
func streamed(events ...string) func(http.ResponseWriter, heard) {
	return func(w http.ResponseWriter, h heard) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			_, _ = io.WriteString(w, h.fill("data: "+e+"\n\n"))
		}
	}
}

// goodAnswer is a whole answer with an id, a model, a finish reason and usage of the provider's choice.
func goodAnswer(id, model, finish, usage string) func(http.ResponseWriter, heard) {
	return func(w http.ResponseWriter, h heard) {
		if !h.stream {
			respond(200, `{"id":"`+id+`","object":"chat.completion","created":1,"model":"`+model+`","choices":[{"index":0,"message":{"role":"assistant","content":"ANSWER"},"finish_reason":"`+finish+`"}],"usage":`+usage+`}`)(w, h)
			return
		}
		head := `{"id":"` + id + `","object":"chat.completion.chunk","created":1,"model":"` + model + `","choices":[`
		streamed(head+`{"index":0,"delta":{"role":"assistant","content":"ANSWER"}}]}`, head+`{"index":0,"delta":{},"finish_reason":"`+finish+`"}]}`, head+`],"usage":`+usage+`}`, "[DONE]")(w, h)
	}
}

// hijacked sends bytes that net/http would not.
func hijacked(text string) func(http.ResponseWriter, heard) {
	return func(w http.ResponseWriter, h heard) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, h.fill(text))
	}
}

// behindTheAnswer sends an answer of a known length, and more than that. The
// connection has been given back when the rest arrives.
func behindTheAnswer(w http.ResponseWriter, h heard) {
	recorder := httptest.NewRecorder()
	goodAnswer("chatcmpl-1", "m-1", "stop", goodUsage)(recorder, heard{h.key, h.prompt, false})
	body := recorder.Body.String()
	hijacked(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)+"KEY PROMPT ANSWER")(w, h)
}
