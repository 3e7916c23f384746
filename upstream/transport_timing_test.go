package upstream

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkDo is the whole leg over loopback, both ends in one process.
func BenchmarkDo(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer s.Close()
	m := timed(b, "", 1)
	base, err := parseBaseURL(s.URL)
	if err != nil {
		b.Fatal(err)
	}
	m.candidates[0].Endpoint.wire = newWire(base, "sk-test")
	transport := NewTransport(TransportOptions{})
	defer transport.Close()
	body := bytes.Repeat([]byte("x"), 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		answer, err := transport.Do(b.Context(), &Request{Candidate: m.candidates[0], Body: body})
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}
