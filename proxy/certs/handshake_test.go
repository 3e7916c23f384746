package certs

import (
	"crypto/tls"
	"fmt"
	"testing"
)

func TestVersions(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, a, a.issue(t, "first"))
	f := func(version uint16, want string) {
		t.Helper()
		c := r.client()
		c.MinVersion, c.MaxVersion = version, version
		state, err := r.call(c)
		got := tls.VersionName(state.Version)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("a client of %s alone gets %q, want %q", tls.VersionName(version), got, want)
		}
	}
	f(tls.VersionTLS10, "remote error: tls: protocol version not supported")
	f(tls.VersionTLS11, "remote error: tls: protocol version not supported")
	f(tls.VersionTLS12, "TLS 1.2")
	f(tls.VersionTLS13, "TLS 1.3")
}

func TestProtocols(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, a, a.issue(t, "first"))
	f := func(want string, offered ...string) {
		t.Helper()
		c := r.client()
		c.NextProtos = offered
		state, err := r.call(c)
		got := state.NegotiatedProtocol
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("a client that offers %q gets %q, want %q", offered, got, want)
		}
	}
	f("http/1.1", "h2", "http/1.1")
	f("http/1.1", "http/1.1")
	f("")
	f("remote error: tls: no application protocol", "h2")
}

// A session can be resumed for as long as its certificate is shown, and not beyond.
func TestSessions(t *testing.T) {
	f := func(version uint16) {
		t.Helper()
		a := newAuthority(t)
		first, second := a.issue(t, "first"), a.issue(t, "second")
		r := serve(t, a, first)
		c := r.client()
		c.MinVersion, c.MaxVersion = version, version
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		next := func(when, want string) {
			t.Helper()
			r.pass(lookEvery)
			state, err := r.call(c)
			if got := fmt.Sprintf("%s, resumed %t", nameIn(state), state.DidResume); err != nil || got != want {
				t.Errorf("%s, %s: %s (%v), want %s", tls.VersionName(version), when, got, err, want)
			}
		}
		next("at first", "first, resumed false")
		next("again", "first, resumed true")
		put(t, r.keyFile, second.key)
		next("with files that were not taken", "first, resumed true")
		r.write(t, second)
		next("after a reload", "second, resumed false")
		next("then", "second, resumed true")
		r.write(t, first)
		next("after the way back", "first, resumed false")
	}
	f(tls.VersionTLS12)
	f(tls.VersionTLS13)
}

func BenchmarkConfigForClient(b *testing.B) {
	a := newAuthority(b)
	r := serve(b, a, a.issue(b, "first"))
	files := must(Load(r.certFile, r.keyFile, r.log.logger()))(b) // with the real clock
	b.Run("between looks", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if c, err := files.configForClient(nil); c == nil || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("looking, nothing changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.pass(lookEvery)
			if c, err := r.files.configForClient(nil); c == nil || err != nil {
				b.Fatal(err)
			}
		}
	})
}
