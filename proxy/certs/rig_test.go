package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests' day, to both ends of a connection.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// clock stands still until it is moved.
type clock struct{ since atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.since.Load())) }
func (c *clock) pass(d time.Duration) { c.since.Add(int64(d)) }
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// renewal is a certificate and its key, as PEM.
type renewal struct{ cert, key []byte }

// authority signs for localhost.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, root, root, key.Public(), key))(t)
	a := &authority{cert: must(x509.ParseCertificate(der))(t), key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate whose common name is name, valid for an hour to both sides of noon.
func (a *authority) issue(t testing.TB, name string) renewal {
	t.Helper()
	return a.issueFor(t, name, noon.Add(-time.Hour), noon.Add(time.Hour))
}

func (a *authority) issueFor(t testing.TB, name string, from, to time.Time) renewal {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	leaf := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62)))(t), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key))(t)
	return renewal{cert: encode("CERTIFICATE", der), key: encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))(t))}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// rig is a listener on loopback that shows the certificate of two files.
type rig struct {
	*authority
	clock
	log               logged
	certFile, keyFile string
	files             *Files
	address           string
}

// serve puts a renewal into files and serves it.
func serve(t testing.TB, a *authority, first renewal) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{authority: a, certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	r.write(t, first)
	r.start(t)
	return r
}

func (r *rig) write(t testing.TB, next renewal) {
	t.Helper()
	put(t, r.certFile, next.cert)
	put(t, r.keyFile, next.key)
}

// put writes a file as a careful program does: whole.
func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) start(t testing.TB) {
	t.Helper()
	r.files = must(load(r.certFile, r.keyFile, r.log.logger(), r.now))(t)
	ln := must(tls.Listen("tcp", "127.0.0.1:0", r.files.Config()))(t)
	r.address = ln.Addr().String()
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			done.Go(func() { greet(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		done.Wait()
	})
}

// greet makes a handshake, says hello and leaves.
func greet(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, "hello")
	_ = conn.Close()
}

// client returns the settings of a client that trusts the authority alone.
func (r *rig) client() *tls.Config {
	return &tls.Config{RootCAs: r.pool, ServerName: "localhost", Time: func() time.Time { return noon }}
}

// call makes a connection and reads its greeting, with which the tickets come.
func (r *rig) call(c *tls.Config) (tls.ConnectionState, error) {
	plain, err := net.Dial("tcp", r.address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(time.Minute))
	conn := tls.Client(plain, c)
	_, err = io.ReadAll(conn)
	return conn.ConnectionState(), err
}

// shown returns the name in the certificate that a new client sees.
func (r *rig) shown(t testing.TB) string {
	t.Helper()
	return nameIn(must(r.call(r.client()))(t))
}

func nameIn(state tls.ConnectionState) string { return state.PeerCertificates[0].Subject.CommonName }

// shows passes the time until the files are looked at again, and fails unless the
// next client sees the name and the log has got exactly these lines meanwhile.
func (r *rig) shows(t testing.TB, name string, lines ...string) {
	t.Helper()
	r.pass(lookEvery)
	if got := r.shown(t); got != name {
		t.Errorf("the certificate of %q is shown, want %q", got, name)
	}
	if got := r.log.take(); !slices.Equal(got, lines) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// logged is a log that is read while it is written to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// take returns the lines since the last call.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.FieldsFunc(l.text.String(), func(r rune) bool { return r == '\n' })
	l.text.Reset()
	return lines
}
