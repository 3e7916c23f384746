//go:build !race

package usage

import (
	"errors"
	"math"
	"testing"
)

func TestBooksAllocateLittle(t *testing.T) {
	s := &fakeStorage{before: func([]Record) error { return errLedgerDown }} // so that nothing else is done meanwhile
	o := smallBooks(t.TempDir(), newLedger(s))
	o.Config.MaxJournal = 64 << 20
	b := openBooks(t, o)
	begins, ends := intent(0), settle(0)
	begins.RequestID, ends.RequestID, ends.Rejected = "0199-request", "0199-request", ""
	request := func() {
		if err := errors.Join(b.Intend(&begins), b.Settle(t.Context(), &ends)); err != nil {
			t.Error(err)
		}
	}
	allocs := math.Inf(1)
	for range 10 { // where the disk is slow, what goes on by the clock beside it is counted too: the least is the requests' own
		allocs = min(allocs, testing.AllocsPerRun(50, request))
	}
	if allocs > 6 {
		t.Errorf("%.1f allocations per request, want 6 at most", allocs)
	}
}
