package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadSaysWhatToDo(t *testing.T) {
	a := newAuthority(t)
	own, other := a.issue(t, "own"), a.issue(t, "other")
	chain := encode("CERTIFICATE", a.cert.Raw)
	der, _ := pem.Decode(own.key)
	encryptedBlock := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: der.Bytes})
	f := func(cert, key []byte, want string) {
		t.Helper()
		dir := t.TempDir()
		certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		put(t, certFile, cert)
		put(t, keyFile, key)
		files, err := Load(certFile, keyFile, new(logged).logger())
		if (files == nil) == (err == nil) {
			t.Fatalf("Load = %v, %v", files, err)
		}
		got := "nil"
		if err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		revealsNothing(t, got, key)
	}

	f(own.cert, own.key, "nil")
	f(bytes.Join([][]byte{[]byte("Bag Attributes\n"), own.cert, chain}, nil), own.key, "nil")
	both := join(own.key, own.cert)
	f(both, both, "nil") // one file for both, as some tools write it

	const noCert = `server.tls.cert: "DIR/tls.crt" holds no certificate in PEM form ("-----BEGIN CERTIFICATE-----"); one in DER form is converted by: openssl x509 -inform der -in FILE -out FILE.pem`
	f(nil, own.key, noCert)
	f([]byte("hello"), own.key, noCert)
	f(encode("X509 CRL", []byte{1}), own.key, noCert)
	f(own.key, own.cert, `server.tls.cert: "DIR/tls.crt" holds a key and no certificate: are server.tls.cert and server.tls.key switched?`)
	f(encode("CERTIFICATE", []byte{1, 2}), own.key, `server.tls.cert: "DIR/tls.crt" holds a damaged certificate, number 1 in the file: x509: malformed certificate; write the file anew`)
	f(join(own.cert, encode("CERTIFICATE", der.Bytes)), own.key, `server.tls.cert: "DIR/tls.crt" holds a damaged certificate, number 2 in the file: x509: malformed tbs certificate; write the file anew`)

	const noKey = `server.tls.key: "DIR/tls.key" holds no private key in PEM form ("-----BEGIN PRIVATE KEY-----"); one in DER form is converted by: openssl pkey -inform der -in FILE -out FILE.pem`
	f(own.cert, nil, noKey)
	f(own.cert, der.Bytes, noKey)
	f(own.cert, encode("hunter2hunter2hunter2", []byte{1}), noKey)
	f(own.cert, own.cert, `server.tls.key: "DIR/tls.key" holds a certificate and no key: are server.tls.cert and server.tls.key switched?`)
	const encrypted = `server.tls.key: "DIR/tls.key" holds an encrypted key, which nobody is there to type the password of; decrypt it with: openssl pkey -in FILE -out FILE.plain`
	f(own.cert, encode("ENCRYPTED PRIVATE KEY", der.Bytes), encrypted)
	f(own.cert, encryptedBlock, encrypted)

	const mismatch = `server.tls.key: "DIR/tls.key" is not the key of the certificate in server.tls.cert "DIR/tls.crt": `
	f(own.cert, other.key, mismatch+"private key does not match public key; write both files anew, from one renewal")
	f(own.cert, encode("PRIVATE KEY", der.Bytes[:40]), mismatch+"failed to parse private key; write both files anew, from one renewal")
	f(join(chain, own.cert), own.key, `server.tls.cert: "DIR/tls.crt" has the key's certificate at place 2: put it first, and each one's authority behind it`)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// revealsNothing fails if an error repeats a piece of a key's file. The lines that
// open a PEM block are the errors' own words.
func revealsNothing(t testing.TB, text string, key []byte) {
	t.Helper()
	const n = 24
	text = strings.NewReplacer("-----BEGIN CERTIFICATE-----", "", "-----BEGIN PRIVATE KEY-----", "").Replace(text)
	for i := 0; i+n <= len(key); i++ {
		if piece := string(key[i : i+n]); strings.Contains(text, piece) {
			t.Fatalf("the error repeats %q from the file: %s", piece, text)
		}
	}
}

func TestLoadOfWhatCannotBeRead(t *testing.T) {
	a := newAuthority(t)
	own := a.issue(t, "own")
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	put(t, certFile, own.cert)
	put(t, keyFile, own.key)
	long := filepath.Join(dir, "long")
	put(t, long, make([]byte, mostBytes+1))
	f := func(cert, key, want string) error {
		t.Helper()
		_, err := Load(cert, key, new(logged).logger())
		if err == nil {
			t.Fatalf("Load(%q, %q) takes it", cert, key)
		}
		if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		revealsNothing(t, err.Error(), own.key)
		return err
	}
	err := f(filepath.Join(dir, "none"), keyFile, `server.tls.cert: cannot read "DIR/none": no such file or directory; name a PEM file that this process may read`)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error hides that the file does not exist: %v", err)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Option != "server.tls.cert" {
		t.Errorf("%#v does not name the option", err)
	}
	f(certFile, filepath.Join(dir, "none"), `server.tls.key: cannot read "DIR/none": no such file or directory; name a PEM file that this process may read`)
	f(certFile, "", `server.tls.key: cannot read "": no such file or directory; name a PEM file that this process may read`)
	f(dir, keyFile, `server.tls.cert: "DIR" is not a regular file: name a PEM file`)
	f(certFile, os.DevNull, `server.tls.key: "/dev/null" is not a regular file: name a PEM file`)
	f(long, keyFile, `server.tls.cert: "DIR/long" has 1048577 bytes, at most 1048576 are read: name a PEM file`)
	f(certFile, string(own.key), `server.tls.key: cannot read a value of 241 bytes (it is no path: write the name of a file, not what is in it): no such file or directory; name a PEM file that this process may read`)
	f(certFile, base64.StdEncoding.EncodeToString(own.key), `server.tls.key: cannot read a value of 324 bytes (it is no path: write the name of a file, not what is in it): file name too long; name a PEM file that this process may read`)
	f(certFile, "-----BEGIN", `server.tls.key: cannot read a value of 10 bytes (it is no path: write the name of a file, not what is in it): no such file or directory; name a PEM file that this process may read`)
}

func TestLoadOfOtherKindsOfKeys(t *testing.T) {
	f := func(kind string, key crypto.Signer, der []byte) {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
		cert := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
		a := &authority{pool: x509.NewCertPool()}
		a.pool.AddCert(must(x509.ParseCertificate(cert))(t))
		r := serve(t, a, renewal{encode("CERTIFICATE", cert), encode(kind, der)})
		if _, err := r.call(r.client()); err != nil {
			t.Errorf("with a %s of %T: %v", kind, key, err)
		}
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	f("PRIVATE KEY", ed, must(x509.MarshalPKCS8PrivateKey(ed))(t))
	curve := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	f("EC PRIVATE KEY", curve, must(x509.MarshalECPrivateKey(curve))(t))
	primes := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	f("RSA PRIVATE KEY", primes, x509.MarshalPKCS1PrivateKey(primes))
	f("PRIVATE KEY", primes, must(x509.MarshalPKCS8PrivateKey(primes))(t))
}

// FuzzParse: no input makes a panic, and none gets its bytes into an error.
func FuzzParse(f *testing.F) {
	a := newAuthority(f)
	own, other := a.issue(f, "own"), a.issue(f, "other")
	for _, seed := range []renewal{own, {own.cert, other.key}, {own.key, own.cert}, {join(own.cert, other.cert), other.key}, {nil, nil}} {
		f.Add(seed.cert, seed.key)
	}
	files := &Files{certFile: "cert", keyFile: "key"}
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		p, err := files.parse(contents{cert, key})
		if err == nil {
			if p.leaf == nil || len(p.config.Certificates) != 1 {
				t.Fatalf("a pair without a certificate: %+v", p)
			}
			return
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("%T is not an *Error: %v", err, err)
		}
		if !bytes.Contains(cert, key) {
			revealsNothing(t, err.Error(), key)
		}
	})
}
