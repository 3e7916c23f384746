package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3/option"
)

// authority issues the certificates of a test, and keeps the last in two files.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	raw, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue writes a new certificate and its key over the last, as a tool for
// certificates does.
func (a *authority) issue(t *testing.T, serial int64) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "a gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	a.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// write replaces a file in one step.
func (a *authority) write(t *testing.T, name string, text []byte) {
	t.Helper()
	fresh := filepath.Join(a.dir, name+".new")
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(a.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// environment is that of a gateway with the authority's certificate.
func (a *authority) environment() environment {
	return environment{"TLS_CERT": filepath.Join(a.dir, "cert.pem"), "TLS_KEY": filepath.Join(a.dir, "key.pem")}
}

// trust is the configuration of a client that trusts the authority.
func (a *authority) trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// client is a client that trusts the authority.
func (a *authority) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: a.trust()}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// newSecureFleet starts a fleet whose gateway speaks HTTPS.
func newSecureFleet(t *testing.T, changes environment) (*fleet, *authority) {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, 2)
	env := a.environment()
	for name, value := range changes {
		env[name] = value
	}
	return newFleet(t, env), a
}

// TestTLS asks over HTTPS, and replaces the certificate while a stream is open:
// the next connections are shown the new one, and the stream goes on.
func TestTLS(t *testing.T) {
	t.Parallel()
	p := newPuppet(t)
	f, a := newSecureFleet(t, environment{"FOURTH": p.url})
	key := f.issue(t)
	c := f.call(t, key.Secret, option.WithHTTPClient(a.client(t)))
	for _, prompt := range []string{"Please answer in one piece", "Please answer in a stream"} {
		by := c.plain
		if strings.HasSuffix(prompt, "stream") {
			by = c.stream
		}
		f.checkText(t, by(t.Context(), ask("gemini-2.5-flash-lite", prompt)), prompt)
	}

	part, ended := p.expect("Please go on"), make(chan *answer, 1)
	go func() { ended <- c.stream(t.Context(), ask("fourth", "Please go on")) }()
	happens(t, "the stream", part.asked)
	part.say <- word("Before")
	a.issue(t, 3)
	took := until(t, "the new certificate", patience, func() bool { return f.serial(t, a) == 3 })
	t.Logf("the new certificate was shown after %s", took.Round(time.Millisecond))

	a.write(t, "cert.pem", []byte("half a certif"))
	until(t, "a complaint about half a certificate", patience, func() bool {
		if got := f.serial(t, a); got != 3 {
			t.Fatalf("with a broken file the certificate shown is number %d, want the last good one", got)
		}
		return strings.Contains(f.stderr.String(), "holds no certificate in PEM form")
	})
	a.issue(t, 4)
	until(t, "the certificate that mends it", patience, func() bool { return f.serial(t, a) == 4 })

	part.end(word(" and after") + lastWords)
	if answer := receive(t, ended); answer.err != nil || answer.text() != "Before and after" {
		t.Errorf("the stream brought %q, %v", answer.text(), answer.err)
	}
	c.plain(t.Context(), ask("gemini-flash", "Is all well?")).complete(t)
}

// serial is the number of the certificate that a new connection is shown. The
// gateway has one to show at any time.
func (f *fleet) serial(t *testing.T, a *authority) int64 {
	t.Helper()
	w := f.dial(t)
	defer w.Close()
	secure := w.handshake(t, a.trust())
	return secure.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestPlainHTTPToTLS speaks plain HTTP where TLS is spoken: nothing but that
// connection suffers.
func TestPlainHTTPToTLS(t *testing.T) {
	t.Parallel()
	f, a := newSecureFleet(t, nil)
	key := f.issue(t)
	w := f.dial(t)
	w.write(t, models(key.Secret))
	if answer := w.gone(t); bytes.Contains(answer, []byte("200 OK")) || bytes.Contains(answer, []byte("gemini")) {
		t.Errorf("the key was taken over plain HTTP: %s", answer)
	}
	f.call(t, key.Secret, option.WithHTTPClient(a.client(t))).plain(t.Context(), ask("gemini-flash", "Is all well?")).complete(t)
}

// TestStalledHandshake falls silent in the handshake: read_timeout ends that,
// and an end of the gateway does not wait for it.
func TestStalledHandshake(t *testing.T) {
	t.Parallel()
	const halfAHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	stall := func(f *fleet) []*wire {
		silent, halfway := f.dial(t), f.dial(t)
		halfway.write(t, halfAHello)
		return []*wire{silent, halfway}
	}
	f, _ := newSecureFleet(t, environment{"READ_TIMEOUT": "300ms"})
	for _, w := range stall(f) {
		w.closed(t)
	}
	patient, a := newSecureFleet(t, environment{"READ_TIMEOUT": "5m", "DRAIN_TIMEOUT": "5m"})
	stalled := stall(patient)
	idle := patient.dial(t).handshake(t, a.trust())
	patient.endsAtOnce(t)
	for _, w := range append(stalled, idle) {
		w.gone(t)
	}
}

// gone fails the test unless the gateway closes the connection, with a last
// word, which it returns, or without.
func (w *wire) gone(t *testing.T) []byte {
	t.Helper()
	last, err := io.ReadAll(w.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
	return last
}

// TestClientLeavesOverTLS walks away from a stream over TLS, which the provider
// keeps silent in: only the connection itself tells that nobody reads any more.
func TestClientLeavesOverTLS(t *testing.T) {
	t.Parallel()
	f, a := newSecureFleet(t, nil)
	key := f.issue(t)
	f.inject(t, simulator.Fault{Kind: simulator.Stall, Events: 8})
	const prompt = "Please stop when I leave"
	w := f.dial(t).handshake(t, a.trust())
	w.write(t, completion(key.Secret, inStream(question("gemini-2.5-flash-lite", prompt))))
	id := w.head(t, http.MethodPost).Header.Get("X-Request-Id")
	f.delivering(t, prompt)
	w.Close()
	line := f.accessLine(t, id)
	if line.EndReason != "client_gone" {
		t.Errorf("the access line says %q", line.EndReason)
	}
	e := f.attempt(t, prompt)
	if !e.ClientGone {
		t.Errorf("the provider was not told: %+v", e)
	}
	f.checkPartial(t, f.record(t, id), e, "client_gone")
}

// TestBadCertificates starts gateways whose certificates cannot be used: none
// runs, and each says which option to look at.
func TestBadCertificates(t *testing.T) {
	t.Parallel()
	good, other := newAuthority(t), newAuthority(t)
	good.issue(t, 2)
	other.issue(t, 2)
	check := func(name, cert, key, option string) {
		t.Helper()
		p := launch(t, environment{
			"SIMULATOR": "http://127.0.0.1:9", "PROVIDER_KEY": providerKey, "DATA_DIR": t.TempDir(), "TLS_CERT": cert, "TLS_KEY": key,
		}, "serve", "-c", writeConfig(t, configuration))
		if code := p.exit(t, patience); code != 2 {
			t.Errorf("%s: exit code %d, want 2", name, code)
		}
		log := p.stderr.String()
		if !strings.Contains(lastLine(log), "tollgate: "+option+": ") || strings.Contains(log, `"serving"`) {
			t.Errorf("%s: the complaint is %s", name, log)
		}
		if strings.Contains(log, "PRIVATE KEY") {
			t.Errorf("%s: the complaint quotes the file: %s", name, log)
		}
	}
	at := func(a *authority, name string) string { return filepath.Join(a.dir, name) }
	good.write(t, "half.pem", []byte("half a certif"))
	check("no such certificate", at(good, "missing.pem"), at(good, "key.pem"), "server.tls.cert")
	check("half a certificate", at(good, "half.pem"), at(good, "key.pem"), "server.tls.cert")
	check("the files mixed up", at(good, "key.pem"), at(good, "cert.pem"), "server.tls.cert")
	check("another one's key", at(good, "cert.pem"), at(other, "key.pem"), "server.tls.key")
}
