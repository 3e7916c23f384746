package e2e

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// turnstile is a provider that counts who is inside: from the beginning of a request to just before its last words, so
// that whoever is let in when one has heard them is never counted beside it. It is the model `fourth` of a gateway whose
// environment has its URL as FOURTH.
type turnstile struct {
	url  string
	stay atomic.Int64 // nanoseconds; those whose prompt says tarry stay until they leave

	inside, most, visits atomic.Int64
}

const tarry = "Please tarry."

// newTurnstile starts one. It must be there before the gateway, so that it ends after it.
func newTurnstile(t *testing.T) *turnstile {
	t.Helper()
	s := &turnstile{}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.url = server.URL + "/v1"
	return s
}

func (s *turnstile) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway has left already
	}
	s.enter()
	left := false
	defer func() {
		if !left {
			s.inside.Add(-1)
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, word("hello"))
	_ = http.NewResponseController(w).Flush() // who has left is noticed below
	if strings.Contains(string(body), tarry) {
		s.tarry(w, r)
		return
	}
	select {
	case <-time.After(time.Duration(s.stay.Load())):
		left = true
		s.inside.Add(-1)
		_, _ = io.WriteString(w, lastWords)
	case <-r.Context().Done():
	}
}

// tarry says a word now and then until the client leaves: a provider that is silent for too long is given up, and a test
// on a busy machine may take as long as that.
func (s *turnstile) tarry(w http.ResponseWriter, r *http.Request) {
	again := time.NewTicker(10 * time.Second)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			_, _ = io.WriteString(w, word("still"))
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *turnstile) enter() {
	s.visits.Add(1)
	now := s.inside.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
}

// lodger is a client with a stream that does not end by itself.
type lodger struct {
	reply
	leave func() // nil: was not let in
}

// lodge asks for such a stream, and returns when its first word is there, or another answer than that.
func (b bare) lodge(ctx context.Context, secret string) lodger {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/chat/completions", strings.NewReader(inStream(question("fourth", tarry))))
	if err != nil {
		cancel()
		return lodger{reply: reply{err: err}}
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	client := &http.Client{Transport: b.http.Transport} // it may take longer than b's
	response, err := client.Do(request)
	if err != nil {
		cancel()
		return lodger{reply: reply{err: err}}
	}
	leave := func() { cancel(); response.Body.Close() }
	if response.StatusCode != http.StatusOK {
		defer leave()
		body, err := io.ReadAll(response.Body)
		return lodger{reply: reply{response.StatusCode, response.Header, string(body), err}}
	}
	_, err = bufio.NewReader(response.Body).ReadString('\n')
	return lodger{reply{response.StatusCode, response.Header, "", err}, leave}
}

// full tells whether the answer is that of a key which has no slot left.
func (r reply) full() bool {
	return r.err == nil && r.status == http.StatusTooManyRequests && r.code() == "concurrency_limit"
}
