package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/telemetry"
)

// lookEvery is how often the files are looked at while connections come.
const lookEvery = time.Second

// Files are a certificate and its key, read again when they change.
type Files struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time
	started           time.Time

	current  atomic.Pointer[pair]
	nextLook atomic.Int64 // nanoseconds since started

	looking sync.Mutex // holds what follows
	tried   sums       // what the files held at the last look; zero: could not be read
	trouble string     // why it was not taken, as logged; empty: it was
	dates   dates      // of the current certificate, as logged
}

// Load reads a certificate (with those of its authorities behind it) and its key,
// both PEM. The error is an *Error, which names the option. A certificate out
// of its dates is loaded, with a warning: clients refuse it, but the clock may
// be what is wrong.
func Load(certFile, keyFile string, log *slog.Logger) (*Files, error) {
	return load(certFile, keyFile, log, time.Now)
}

func load(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, log: log, now: now, started: now()}
	read, err := f.read()
	if err != nil {
		return nil, err
	}
	first, err := f.parse(read)
	if err != nil {
		return nil, err
	}
	f.current.Store(first)
	f.tried = first.sums
	f.nextLook.Store(int64(lookEvery))
	f.checkDates()
	return f, nil
}

// Config returns a server configuration that shows the current certificate: TLS
// 1.2 or newer, "http/1.1" only.
func (f *Files) Config() *tls.Config {
	c := settings()
	c.GetConfigForClient = f.configForClient
	return c
}

// configForClient is called by each handshake, resumed ones too.
func (f *Files) configForClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	if since := f.now().Sub(f.started); int64(since) >= f.nextLook.Load() && f.looking.TryLock() {
		f.look(since)
		f.looking.Unlock()
	}
	return f.current.Load().config, nil
}

// look is done by one handshake while the others go on with the current pair.
func (f *Files) look(since time.Duration) {
	if int64(since) < f.nextLook.Load() {
		return // another has just been here
	}
	f.nextLook.Store(int64(since + lookEvery))
	read, err := f.read()
	if err != nil {
		f.tried = sums{}
		f.keep(err)
		return
	}
	if now := read.sums(); now != f.tried {
		f.tried = now
		f.take(read)
	}
	f.checkDates()
}

func (f *Files) take(read contents) {
	if f.tried == f.current.Load().sums {
		f.trouble = ""
		f.log.Info("certificate files are again what is shown")
		return
	}
	next, err := f.parse(read)
	if err != nil {
		f.keep(err)
		return
	}
	f.trouble, f.dates = "", fine
	f.current.Store(next)
	f.log.Info("certificate reloaded", telemetry.FieldNotAfter, next.leaf.NotAfter)
}

// keep logs why the current pair stays, once for each reason.
func (f *Files) keep(err error) {
	if text := err.Error(); text != f.trouble {
		f.trouble = text
		f.log.Warn("certificate not reloaded, the one before is still shown", telemetry.FieldError, text)
	}
}

// checkDates logs once that clients will refuse the current certificate.
func (f *Files) checkDates() {
	leaf := f.current.Load().leaf
	found := datesOf(leaf, f.now())
	if found == f.dates {
		return
	}
	f.dates = found
	at := []any{telemetry.FieldNotBefore, leaf.NotBefore, telemetry.FieldNotAfter, leaf.NotAfter}
	switch found {
	case expired:
		f.log.Warn("certificate has expired: renew the files of server.tls", at...)
	case notYet:
		f.log.Warn("certificate is not valid yet: look at the clock, and at the files of server.tls", at...)
	}
}

// dates is what is wrong with those of a certificate.
type dates int

const (
	fine dates = iota
	notYet
	expired
)

func datesOf(leaf *x509.Certificate, now time.Time) dates {
	switch {
	case now.After(leaf.NotAfter):
		return expired
	case now.Before(leaf.NotBefore):
		return notYet
	}
	return fine
}

func (f *Files) read() (c contents, err error) {
	if c.cert, err = readFile(certOption, f.certFile); err != nil {
		return contents{}, err
	}
	if c.key, err = readFile(keyOption, f.keyFile); err != nil {
		return contents{}, err
	}
	return c, nil
}
