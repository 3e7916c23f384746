package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/config"
	"tollgate/store"
	"tollgate/usage"
	"tollgate/usage/journal"
)

// TestALedgerThatHangs: a ledger is waited for as long as its disk may take, whatever comes of it, and no longer.
func TestALedgerThatHangs(t *testing.T) {
	f := func(answers time.Duration, says error, want string, took time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := unlessItHangs(func() error { time.Sleep(answers); return says })
			if got := fmt.Sprint(err); got != want || time.Since(began) != took || says != nil && took == answers && !errors.Is(err, says) {
				t.Errorf("one that answers after %s says %s after %s, want %s after %s", answers, got, time.Since(began), want, took)
			}
			time.Sleep(answers) // until nothing is left of it
		})
	}
	const nearly = 9999 * time.Millisecond
	broken := errors.New("input/output error")
	f(0, nil, "<nil>", 0)
	f(0, broken, "input/output error", 0)
	f(nearly, nil, "<nil>", nearly)
	f(nearly, broken, "input/output error", nearly)
	f(time.Hour, nil, "the ledger is not closed: its disk has not answered for 10s", 10*time.Second)
	f(time.Hour, broken, "the ledger is not closed: its disk has not answered for 10s", 10*time.Second)
}

// storesOnly is a process that has nothing but its journal and its ledger.
func storesOnly(t *testing.T, log *slog.Logger) *process {
	t.Helper()
	c, err := config.Parse("config.yaml", []byte("data_dir: "+t.TempDir()+"\n"), config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{config: c, log: log, halt: func() {}}
	if p.db, err = store.OpenBolt(c.DataDir); err != nil {
		t.Fatal(err)
	}
	if p.ledger, err = usage.OpenLedger(p.db); err != nil {
		t.Fatal(err)
	}
	if p.books, err = openBooks(c, p.ledger, usage.BooksOptions{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// logging is told each line of a log.
type logging func(line string)

func (l logging) Write(line []byte) (int, error) { l(string(line)); return len(line), nil }

// timeless is a logger whose lines have no time.
func timeless(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// TestAnEndSaysWhatIsAtStake takes the journal's folder away from a process and ends it: the error of the end and one
// line of the log say so, and how many entries may be lost; the log before the ledger is closed, which may take its time.
func TestAnEndSaysWhatIsAtStake(t *testing.T) {
	f := func(gone bool, before, after int, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var p *process
			said := ""
			p = storesOnly(t, timeless(logging(func(line string) {
				said += line
				if p.db.Path() == "" {
					t.Errorf("the ledger is closed before the log says %s", line)
				}
			})))
			folder := journalFolder(p.config.DataDir)
			if gone {
				if err := os.Rename(folder, filepath.Join(t.TempDir(), "elsewhere")); err != nil {
					t.Fatal(err)
				}
			}
			note := func(count int) {
				for range count {
					p.books.Note(&answered()[1])
				}
			}
			time.Sleep(490 * time.Millisecond) // the folder is looked after every 500 ms,
			note(before)                       // and these reach their file, but no fsync within 50 ms
			time.Sleep(time.Second)
			note(after)
			if got := fmt.Sprint(p.close()); got != want {
				t.Errorf("the end says\n%s\nwant\n%s", got, want)
			}
			line := ""
			if want != "<nil>" {
				line = fmt.Sprintf("level=ERROR msg=\"closing the journal\" error=%q\n", want)
			}
			if said != line {
				t.Errorf("the log says\n%swant\n%s", said, line)
			}
		})
	}
	const lost = "its folder was removed or replaced while it was in use: put it back, if you can, and start again"
	f(false, 2, 1, "<nil>")
	f(true, 0, 0, lost)
	f(true, 0, 3, "entries of the journal, which may be bills, are at stake: 3 in no file, lost with this process: "+lost)
	f(true, 2, 0, "entries of the journal, which may be bills, are at stake: 2 not confirmed by the disk, lost with their files or, at the latest, with this machine: "+lost)
	f(true, 2, 3, "entries of the journal, which may be bills, are at stake: 3 in no file, lost with this process; 2 not confirmed by the disk, lost with their files or, at the latest, with this machine: "+lost)
}

// TestAtStake: what is durable is not at stake, and the rest is counted to the last entry.
func TestAtStake(t *testing.T) {
	f := func(err error, s journal.Stats, want string) {
		t.Helper()
		if got := atStake(err, s); fmt.Sprint(got) != want || !errors.Is(got, err) {
			t.Errorf("%+v: %s\nwant %s", s, got, want)
		}
	}
	const entries = "entries of the journal, which may be bills, are at stake: "
	broken := errors.New("input/output error")
	f(nil, journal.Stats{Next: 8, Written: 5, Durable: 3}, "<nil>")
	f(broken, journal.Stats{Next: 1}, "input/output error")
	f(broken, journal.Stats{Next: 8, Written: 7, Durable: 7}, "input/output error")
	f(broken, journal.Stats{Next: 8, Written: 7, Durable: 6}, entries+"1 not confirmed by the disk, lost with their files or, at the latest, with this machine: input/output error")
	f(broken, journal.Stats{Next: 8, Written: 6, Durable: 6}, entries+"1 in no file, lost with this process: input/output error")
	f(broken, journal.Stats{Next: 8, Written: 5, Durable: 0}, entries+"2 in no file, lost with this process; 5 not confirmed by the disk, lost with their files or, at the latest, with this machine: input/output error")
}

// TestAnEndDespiteALedgerThatHangs ends a process whose ledger cannot be closed. It takes ten seconds by the wall clock:
// a file that is locked does not let a clock of our own go on.
func TestAnEndDespiteALedgerThatHangs(t *testing.T) {
	if os.Getenv("TOLLGATE_PROVE") == "" {
		return
	}
	p := storesOnly(t, slog.New(slog.DiscardHandler))
	tx, err := p.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.close() }()
	select {
	case err := <-ended:
		if err == nil || err.Error() != "the ledger is not closed: its disk has not answered for 10s" {
			t.Errorf("the end says %v", err)
		}
	case <-time.After(patience):
		t.Error("the process does not end")
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}
