package upstream

import "sync/atomic"

// The retry budget, in tenths of a retry.
const (
	budgetFull  = 100 // 10 retries
	budgetRetry = 10  // what one costs
	budgetEarns = 1   // what each request adds
)

// budget bounds the retries of a model to a tenth of its requests, and ten more:
// when everything fails, asking everybody twice would finish off whoever is left.
// (Google's SRE book, chapter 22, "Addressing cascading failures".) It is safe
// for concurrent use.
type budget struct{ tenths atomic.Int64 }

func newBudget() *budget {
	b := new(budget)
	b.tenths.Store(budgetFull)
	return b
}

// earn adds what a request brings.
func (b *budget) earn() { b.add(budgetEarns) }

// refund gives back a retry that was not made.
func (b *budget) refund() { b.add(budgetRetry) }

func (b *budget) add(tenths int64) {
	for {
		has := b.tenths.Load()
		if has >= budgetFull || b.tenths.CompareAndSwap(has, min(has+tenths, budgetFull)) {
			return
		}
	}
}

// spend takes a retry, or nothing when there is none.
func (b *budget) spend() bool {
	for {
		has := b.tenths.Load()
		if has < budgetRetry {
			return false
		}
		if b.tenths.CompareAndSwap(has, has-budgetRetry) {
			return true
		}
	}
}
