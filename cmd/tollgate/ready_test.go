package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/config"
	"tollgate/usage"
	"tollgate/usage/journal"
)

// fakeJournal takes new requests, or says why not.
type fakeJournal struct {
	mu  sync.Mutex
	err error
}

func (j *fakeJournal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *fakeJournal) set(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

// The log tells once that no requests are taken, and once that they are again, within a second of either.
func TestJournalIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := timeless(&text)
		books := &fakeJournal{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); watchJournal(ctx, books, log) }()
		within := func(err error, want string) {
			t.Helper()
			books.set(err)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := text.String(); got != want {
				t.Errorf("the log says\n%swant\n%s", got, want)
			}
			text.Reset()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := text.String(); got != "" {
				t.Errorf("the log goes on:\n%s", got)
			}
		}
		within(nil, "")
		within(errors.New("the journal is full"), `level=ERROR msg="no new requests are taken: what they use cannot be put on record" error="the journal is full"`+"\n")
		within(nil, `level=INFO msg="new requests are taken again"`+"\n")
		cancel()
		<-done
	})
}

// /readyz asks for no token: it says what is wrong, and nothing of the machine.
func TestPublicReason(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if got := publicReason(fmt.Errorf("%w: /data/journal: %w", usage.ErrUnavailable, err)); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	f(fmt.Errorf("%w: no space left on device", journal.ErrFull), "the journal is full")
	f(fmt.Errorf("%w: input/output error", journal.ErrFailing), "the disk of the journal fails")
	f(journal.ErrClosed, "the journal is closed")
	f(errors.New("open /data/journal: permission denied"), "the usage journal takes no new requests")
}

// fetch asks the operators' API for what needs no token.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// A gateway whose journal takes nothing is not ready, and says so wherever one looks. It ends in order all the same.
func TestReadyz(t *testing.T) {
	var text lockedBuffer
	c, err := config.Parse("config.yaml", []byte("server: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\ndata_dir: "+t.TempDir()+"\n"), config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(c, slog.New(slog.NewJSONHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + p.adminAddress()
	want := func(status int, body string, samples ...string) {
		t.Helper()
		if gotStatus, got := fetch(t, url+"/readyz"); gotStatus != status || strings.TrimSpace(got) != body {
			t.Errorf("/readyz: %d %s, want %d %s", gotStatus, got, status, body)
		}
		_, metrics := fetch(t, url+"/metrics")
		for _, sample := range samples {
			if !strings.Contains(metrics, "\n"+sample+"\n") {
				t.Errorf("/metrics has no %s", sample)
			}
		}
	}
	want(200, `{"status":"ready"}`, "tollgate_journal_ready 1", "tollgate_journal_refused_total 0", "tollgate_journal_unshipped 0")
	if err := p.books.Close(); err != nil {
		t.Fatal(err)
	}
	want(503, `{"status":"journal","reason":"the journal is closed"}`, "tollgate_journal_ready 0")
	text.await(t, "no new requests are taken: what they use cannot be put on record")
	p.retire()
	want(503, `{"status":"draining"}`)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
