package watch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// dialTLS returns both ends of a TLS connection.
func dialTLS(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"t"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	c, s := dial(t)
	client = tls.Client(c, &tls.Config{ServerName: "t", RootCAs: roots})
	server = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	shaken := make(chan error)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestTLSPeerLeaves(t *testing.T) {
	w := newWatcher(t)
	client, server := dialTLS(t)
	left := make(chan struct{})
	add(t, w, server, func() { close(left) })
	client.Close()
	await(t, left)
}

// A close_notify alone is data to the kernel; the package's comment says so.
func TestCloseNotifyIsNotSeen(t *testing.T) {
	w := newWatcher(t)
	client, server := dialTLS(t)
	left := make(chan struct{})
	var closing atomic.Bool
	add(t, w, server, func() {
		if !closing.Load() {
			t.Error("left was called for a close_notify")
		}
		close(left)
	})
	client.CloseWrite()
	if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("Read = %d, %v, want 0 and EOF: the close_notify has come", n, err)
	}
	settle(t, w)
	closing.Store(true)
	client.Close()
	await(t, left)
}
