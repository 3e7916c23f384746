package simulator

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPathsAndMethods(t *testing.T) {
	h := New(Options{}).Handler()
	f := func(method, path string, status int, code string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		refusedWith(t, w.Result(), status, code, "")
	}
	f("POST", "/v1/chat/completions", 404, "unknown_url")
	f("POST", "/starmagic/v1/chat/completions/", 404, "unknown_url")
	f("POST", "/starmagic/v1//chat/completions", 404, "unknown_url")
	f("POST", "/theturbo/v1/embeddings", 404, "unknown_url")
	f("GET", "/evolink/v1/models", 404, "unknown_url")
	f("GET", "/", 404, "unknown_url")
	f("GET", "/starmagic/v1/chat/completions", 405, "method_not_allowed")
	f("PUT", "/evolink/v1/chat/completions", 405, "method_not_allowed")
	f("POST", "/_truth", 405, "method_not_allowed")
}

func TestAuthorization(t *testing.T) {
	s := New(Options{Providers: map[Provider]Behaviour{Evolink: {Keys: []string{"sk-a", "sk-b"}}}})
	f := func(p Provider, header string, status int) {
		t.Helper()
		r := newRequest("http://simulator", p, hi(p, ""))
		r.Header.Del("Authorization")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if status == http.StatusUnauthorized {
			refusedWith(t, w.Result(), status, "invalid_api_key", "")
		} else if w.Code != status {
			t.Errorf("%s %q: status %d, want %d", p, header, w.Code, status)
		}
	}
	for _, p := range []Provider{StarMagic, TheTurbo} {
		f(p, "Bearer anything", 200)
	}
	f(Evolink, "Bearer sk-b", 200)
	f(Evolink, "Bearer sk-c", 401)
	for _, p := range Providers() {
		f(p, "", 401)
		f(p, "Bearer ", 401)
		f(p, "Basic c2s6", 401)
		f(p, "sk-a", 401)
	}
}

func TestTheTurboDemandsJSONHeaders(t *testing.T) {
	s := New(Options{})
	f := func(p Provider, contentType, accept, code string) {
		t.Helper()
		r := newRequest("http://simulator", p, hi(p, `"stream":true,`))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if code != "" {
			refusedWith(t, w.Result(), 400, code, "")
		} else if w.Code != 200 {
			t.Errorf("%s %q %q: status %d: %s", p, contentType, accept, w.Code, w.Body)
		}
	}
	f(TheTurbo, "application/json", "application/json", "")
	f(TheTurbo, "application/json; charset=utf-8", "application/json, text/event-stream", "")
	f(TheTurbo, "application/json", "text/event-stream;q=0.9, Application/JSON;q=0.1", "")
	f(TheTurbo, "application/json", "text/event-stream", "invalid_accept")
	f(TheTurbo, "application/json", "*/*", "invalid_accept")
	f(TheTurbo, "application/json", "", "invalid_accept")
	f(TheTurbo, "", "application/json", "invalid_content_type")
	f(TheTurbo, "text/plain", "application/json", "invalid_content_type")
	f(StarMagic, "", "text/event-stream", "")
	f(Evolink, "", "", "")
}
