//go:build !race

package usage

import (
	"errors"
	"testing"
)

func TestBooksAllocateLittle(t *testing.T) {
	s := &fakeStorage{before: func([]Record) error { return errLedgerDown }} // so that nothing else is done meanwhile
	o := smallBooks(t.TempDir(), newLedger(s))
	o.Config.MaxJournal = 64 << 20
	b := openBooks(t, o)
	begins, ends := intent(0), settle(0)
	begins.RequestID, ends.RequestID, ends.Rejected = "0199-request", "0199-request", ""
	allocs := testing.AllocsPerRun(500, func() {
		if err := errors.Join(b.Intend(&begins), b.Settle(t.Context(), &ends)); err != nil {
			t.Error(err)
		}
	})
	if allocs > 6 {
		t.Errorf("%.1f allocations per request, want 6 at most", allocs)
	}
}
