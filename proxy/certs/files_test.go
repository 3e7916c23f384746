package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

const reloaded = `level=INFO msg="certificate reloaded" not_after=2026-05-01T13:00:00.000Z`

// kept is the line about files that were not taken.
func kept(trouble string) string {
	return `level=WARN msg="certificate not reloaded, the one before is still shown" error=` + strconv.Quote(trouble)
}

func TestReload(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, a, a.issue(t, "first"))
	r.write(t, a.issue(t, "second"))
	r.pass(lookEvery - 1)
	if got := r.shown(t); got != "first" {
		t.Errorf("the files were looked at before their time: %q is shown", got)
	}
	r.pass(1)
	if got := r.shown(t); got != "second" {
		t.Errorf("%q is shown, want the new certificate", got)
	}
	if got := fmt.Sprint(r.log.take()); got != "["+reloaded+"]" {
		t.Errorf("the log says %s", got)
	}
	r.shows(t, "second")
	r.write(t, a.issue(t, "third"))
	r.shows(t, "third", reloaded)
}

// A volume of a Kubernetes Secret holds links to ..data/NAME; ..data is a link
// to a folder, and is replaced by a link to another.
func TestReloadOfAKubernetesSecret(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	publish := func(folder string, next renewal) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, folder, "tls.crt"), next.cert)
		put(t, filepath.Join(dir, folder, "tls.key"), next.key)
		if err := os.Symlink(folder, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..2026_05_01_11_00_00.1", a.issue(t, "first"))
	r := &rig{authority: a, certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.start(t)
	r.shows(t, "first")
	publish("..2026_05_01_12_00_00.2", a.issue(t, "second"))
	if err := os.RemoveAll(filepath.Join(dir, "..2026_05_01_11_00_00.1")); err != nil {
		t.Fatal(err)
	}
	r.shows(t, "second", reloaded)
}

func TestFilesOfTwoRenewalsChangeNothing(t *testing.T) {
	a := newAuthority(t)
	first, second := a.issue(t, "first"), a.issue(t, "second")
	r := serve(t, a, first)
	trouble := kept(fmt.Sprintf("server.tls.key: %q is not the key of the certificate in server.tls.cert %q: private key does not match public key; write both files anew, from one renewal", r.keyFile, r.certFile))

	put(t, r.certFile, second.cert)
	r.shows(t, "first", trouble)
	r.shows(t, "first") // once
	r.write(t, renewal{first.cert, second.key})
	r.shows(t, "first") // the same trouble with other files
	r.write(t, second)
	r.shows(t, "second", reloaded)

	// Trouble that was over is news when it comes back.
	put(t, r.keyFile, first.key)
	r.shows(t, "second", trouble)
	put(t, r.keyFile, second.key)
	r.shows(t, "second", `level=INFO msg="certificate files are again what is shown"`)
	put(t, r.keyFile, first.key)
	r.shows(t, "second", trouble)
}

func TestFilesThatAreGoneChangeNothing(t *testing.T) {
	a := newAuthority(t)
	first := a.issue(t, "first")
	r := serve(t, a, first)
	gone := func(option, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.shows(t, "first", kept(fmt.Sprintf("%s: cannot read %q: no such file or directory; name a PEM file that this process may read", option, path)))
		r.shows(t, "first")
	}
	gone("server.tls.key", r.keyFile)
	gone("server.tls.cert", r.certFile)
	r.write(t, first)
	r.shows(t, "first", `level=INFO msg="certificate files are again what is shown"`)
	gone("server.tls.cert", r.certFile)
	r.write(t, a.issue(t, "second"))
	r.shows(t, "second", reloaded)
}

func TestHalfWrittenFilesChangeNothing(t *testing.T) {
	a := newAuthority(t)
	first, second := a.issue(t, "first"), a.issue(t, "second")
	r := serve(t, a, first)
	for n := 0; n < len(second.cert); n += 97 {
		r.write(t, renewal{second.cert[:n], second.key})
		r.pass(lookEvery)
		if got := r.shown(t); got != "first" {
			t.Errorf("with %d bytes of the certificate %q is shown", n, got)
		}
	}
	for n := 0; n < len(second.key)-2; n += 31 {
		r.write(t, renewal{second.cert, second.key[:n]})
		r.pass(lookEvery)
		if got := r.shown(t); got != "first" {
			t.Errorf("with %d bytes of the key %q is shown", n, got)
		}
	}
	if lines := r.log.take(); len(lines) != 2 {
		t.Errorf("two distinct troubles left %d lines: %q", len(lines), lines)
	}
	r.write(t, second)
	r.shows(t, "second", reloaded)
}

// While one handshake looks at the files, on a slow disk say, the others go on.
func TestALookHoldsNobodyUp(t *testing.T) {
	a := newAuthority(t)
	r := serve(t, a, a.issue(t, "first"))
	r.write(t, a.issue(t, "second"))
	r.pass(lookEvery)
	r.files.looking.Lock() // as a handshake in the midst of a look does
	end := sync.OnceFunc(r.files.looking.Unlock)
	defer end()
	if got := r.shown(t); got != "first" {
		t.Errorf("two handshakes looked at once: %q is shown", got)
	}
	end()
	if got := r.shown(t); got != "second" {
		t.Errorf("%q is shown, want the new certificate", got)
	}
}

func TestHandshakesDuringRenewals(t *testing.T) {
	a := newAuthority(t)
	renewals := []renewal{a.issue(t, "first"), a.issue(t, "second"), a.issue(t, "third")}
	r := serve(t, a, renewals[0])
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			c := r.client()
			c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 20 {
				if _, err := r.call(c); err != nil {
					t.Errorf("a handshake failed: %v", err)
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-finished:
				return
			default:
				r.write(t, renewals[i%len(renewals)])
				r.pass(lookEvery)
			}
		}
	})
	callers.Wait()
	close(finished)
	writer.Wait()
	r.write(t, a.issue(t, "last"))
	r.pass(lookEvery)
	if got := r.shown(t); got != "last" {
		t.Errorf("%q is shown, want the last certificate", got)
	}
}

func TestDatesOfACertificate(t *testing.T) {
	a := newAuthority(t)
	const (
		isOver = `level=WARN msg="certificate has expired: renew the files of server.tls" not_before=2026-05-01T11:00:00.000Z not_after=2026-05-01T13:00:00.000Z`
		toCome = `level=WARN msg="certificate is not valid yet: look at the clock, and at the files of server.tls" not_before=2026-05-01T11:00:00.000Z not_after=2026-05-01T13:00:00.000Z`
	)
	r := &rig{authority: a}
	dir := t.TempDir()
	r.certFile, r.keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	r.write(t, a.issue(t, "first"))
	r.pass(-2 * time.Hour)
	r.start(t)
	if got := fmt.Sprint(r.log.take()); got != "["+toCome+"]" {
		t.Errorf("at the start the log says %s", got)
	}
	r.shows(t, "first") // once
	r.pass(2 * time.Hour)
	r.shows(t, "first")
	r.pass(time.Hour)
	r.shows(t, "first", isOver)
	r.shows(t, "first")

	// What belongs together is taken, be it old: a restart would take it too.
	r.write(t, a.issueFor(t, "older", noon.Add(-time.Hour), noon.Add(time.Minute)))
	r.shows(t, "older", `level=INFO msg="certificate reloaded" not_after=2026-05-01T12:01:00.000Z`,
		`level=WARN msg="certificate has expired: renew the files of server.tls" not_before=2026-05-01T11:00:00.000Z not_after=2026-05-01T12:01:00.000Z`)
	r.write(t, a.issueFor(t, "new", noon.Add(-time.Hour), noon.AddDate(0, 3, 0)))
	r.shows(t, "new", `level=INFO msg="certificate reloaded" not_after=2026-08-01T12:00:00.000Z`)
}
