package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// mostBytes bounds a file that is read: a chain of a dozen certificates takes a
// fiftieth of it.
const mostBytes = 1 << 20

// sums tell whether files have changed. Times of change do not: two writes can
// share one, and a link can be turned to an older file.
type sums [2][sha256.Size]byte

// contents are a certificate's file and its key's, as read.
type contents struct{ cert, key []byte }

func (c contents) sums() sums { return sums{sha256.Sum256(c.cert), sha256.Sum256(c.key)} }

// pair is a certificate with its key, and the settings of the connections that see it.
type pair struct {
	sums   sums
	leaf   *x509.Certificate
	config *tls.Config
}

func readFile(option, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		// A pipe would hold up a handshake until somebody writes to it.
		return nil, &Error{option, shown(path) + " is not a regular file: name a PEM file", nil}
	}
	if err == nil && info.Size() > mostBytes {
		return nil, &Error{option, fmt.Sprintf("%s has %d bytes, at most %d are read: name a PEM file", shown(path), info.Size(), mostBytes), nil}
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path) //nolint:gosec // the operator names the file
	}
	if err != nil {
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			err = at.Err // without the path, which is judged by shown
		}
		return nil, &Error{option, fmt.Sprintf("cannot read %s: %v; name a PEM file that this process may read", shown(path), err), err}
	}
	return raw, nil
}

// parse makes a pair of what the files hold, or an *Error.
func (f *Files) parse(c contents) (*pair, error) {
	chain, err := parseCert(f.certFile, c.cert)
	if err != nil {
		return nil, err
	}
	if err := checkKey(f.keyFile, c.key); err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, f.mismatch(chain, c.key, err)
	}
	return &pair{sums: c.sums(), leaf: chain[0], config: configOf(certificate)}, nil
}

// parseCert returns the certificates of a file, at least one.
func parseCert(path string, text []byte) ([]*x509.Certificate, error) {
	bad := func(cause error, format string, args ...any) error {
		return &Error{certOption, shown(path) + " " + fmt.Sprintf(format, args...), cause}
	}
	var chain []*x509.Certificate
	holdsKey := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		holdsKey = holdsKey || isKey(block)
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, bad(err, "holds a damaged certificate, number %d in the file: %v; write the file anew", len(chain)+1, err)
		}
		chain = append(chain, certificate)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case holdsKey:
		return nil, bad(nil, "holds a key and no certificate: are %s and %s switched?", certOption, keyOption)
	}
	return nil, bad(nil, `holds no certificate in PEM form ("-----BEGIN CERTIFICATE-----"); one in DER form is converted by: openssl x509 -inform der -in FILE -out FILE.pem`)
}

// checkKey says what is wrong with a file that holds no key to use. Nothing that it holds
// gets into the error, be it the word after BEGIN.
func checkKey(path string, text []byte) error {
	bad := func(trouble string) error { return &Error{keyOption, shown(path) + " " + trouble, nil} }
	holdsCert := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		holdsCert = holdsCert || block.Type == "CERTIFICATE"
		switch {
		case !isKey(block):
			continue
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return bad("holds an encrypted key, which nobody is there to type the password of; decrypt it with: openssl pkey -in FILE -out FILE.plain")
		}
		return nil
	}
	if holdsCert {
		return bad("holds a certificate and no key: are " + certOption + " and " + keyOption + " switched?")
	}
	return bad(`holds no private key in PEM form ("-----BEGIN PRIVATE KEY-----"); one in DER form is converted by: openssl pkey -inform der -in FILE -out FILE.pem`)
}

// isKey is the rule of tls.X509KeyPair.
func isKey(block *pem.Block) bool {
	return block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY")
}

// mismatch says what is wrong with a certificate and a key that are fine each by itself.
func (f *Files) mismatch(chain []*x509.Certificate, key []byte, cause error) error {
	for i, certificate := range chain[1:] {
		alone := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
		if _, err := tls.X509KeyPair(alone, key); err == nil {
			return &Error{certOption, fmt.Sprintf("%s has the key's certificate at place %d: put it first, and each one's authority behind it", shown(f.certFile), i+2), cause}
		}
	}
	// The parser's words here are a fixed set, without a byte of the file.
	reason := strings.TrimPrefix(cause.Error(), "tls: ")
	return &Error{keyOption, fmt.Sprintf("%s is not the key of the certificate in %s %s: %s; write both files anew, from one renewal",
		shown(f.keyFile), certOption, shown(f.certFile), reason), cause}
}

func settings() *tls.Config {
	// HTTP/2 is not spoken here; a client that offers it beside HTTP/1.1 must not choose it.
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// configOf returns settings that seal tickets with keys of their own, changed daily
// by crypto/tls. Without the two functions the keys of the listener's
// settings would be used, and would outlive the pair.
func configOf(certificate tls.Certificate) *tls.Config {
	c := settings()
	c.Certificates = []tls.Certificate{certificate}
	c.WrapSession, c.UnwrapSession = c.EncryptTicket, c.DecryptTicket
	return c
}
