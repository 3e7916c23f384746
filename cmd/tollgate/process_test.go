package main

import (
	"errors"
	"testing"
	"testing/synctest"
)

// TestALedgerThatHangs: it keeps no process from its end, and one that does not hang is waited for.
func TestALedgerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, gate := errors.New("input/output error"), make(chan struct{})
		if err := unlessItHangs(func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("one that fails: %v", err)
		}
		err := unlessItHangs(func() error { <-gate; return nil })
		if err == nil || err.Error() != "the ledger is not closed: its disk has not answered for 10s" {
			t.Errorf("one that hangs: %v", err)
		}
		close(gate)
	})
}
