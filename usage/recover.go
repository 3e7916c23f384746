package usage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"tollgate/crash"
	"tollgate/telemetry"
	"tollgate/usage/journal"
)

// recovery is what a start finds in the journal.
type recovery struct {
	shipped    uint64            // the ledger has what stands up to there
	first      uint64            // the sequence of the first entry that was found; 0: there was none
	open       map[string]*begun // requests without a settle, by their ids
	unshipped  int64             // records that the ledger has not
	unreadable int               // entries that are no records
}

// report says what is not as it should be in a journal that was read from a cursor on,
// up to the entry before next.
func (f *recovery) report(at cursor, next uint64, log *slog.Logger) {
	if f.unreadable > 0 {
		log.Error("the journal holds entries that are no usage records; they are left out", telemetry.FieldCount, f.unreadable)
	}
	first := f.first
	if first == 0 {
		first = next
	}
	if needed := at.needed(); needed < first {
		// After the loss of power the cursor may be an older one, and what it points at may have been removed with good reason.
		log.Error("segments are missing at the beginning of the journal: unless the ledger has had what was in them, bills are lost",
			telemetry.FieldError, fmt.Errorf("the first entry that may be needed is %d, the first one that is kept is %d", needed, first))
	}
}

// begun is a request without a settle.
type begun struct {
	first      uint64 // the sequence of its first intent
	intent     Record // the last one
	checkpoint Record // the last one of that attempt; without a kind: there was none
	failed     bool   // that attempt is known to have failed, and has its own record
	seen       time.Time
}

// visit takes one entry after the other. It is given the journal once, from the oldest
// intent on that was open when the cursor was saved.
func (f *recovery) visit(e journal.Entry) error {
	if f.first == 0 {
		f.first = e.Sequence
	}
	if shipped(e.Kind) && e.Sequence > f.shipped {
		f.unshipped++
	}
	switch e.Kind {
	case journal.Void, journal.Adjust:
		return nil
	case journal.Settle:
		id := requestID(e.Payload)
		if id == "" {
			f.unreadable++
		}
		delete(f.open, id)
		return nil
	}
	r, err := decodeRecord(e.Payload)
	if err != nil {
		f.unreadable++ // the others must not suffer for it
		return nil
	}
	b := f.open[r.RequestID]
	switch {
	case b != nil:
		b.note(e.Kind, r)
	case e.Kind == journal.Intent:
		f.open[strings.Clone(r.RequestID)] = &begun{first: e.Sequence, intent: r, seen: r.lastSeen()}
	}
	return nil
}

// note takes what happened to a request that is open.
func (b *begun) note(kind journal.Kind, r Record) {
	switch kind {
	case journal.Intent:
		b.intent, b.failed = r, false
		if !b.delivered() {
			b.checkpoint = Record{} // nobody got anything of an attempt before
		}
	case journal.Attempt:
		b.failed = b.failed || r.Attempt == b.intent.Attempt
	case journal.Checkpoint:
		b.checkpoint = r
	}
	if seen := r.lastSeen(); seen.After(b.seen) {
		b.seen = seen
	}
}

// lastSeen is the latest moment that a record knows of.
func (r Record) lastSeen() time.Time {
	last := r.AcceptedAt
	for _, t := range [...]time.Time{r.FirstByteAt, r.EndedAt} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// delivered says whether any content is known to have reached the client. It may be an
// image, of which no token is counted.
func (b *begun) delivered() bool {
	return b.checkpoint.Delivered > 0 || !b.checkpoint.FirstByteAt.IsZero()
}

// settle is the bill of a request whose end nobody has seen. It is the one of an answer
// that was cut when its last checkpoint was written.
func (b *begun) settle(prices *PriceBook) (Record, error) {
	r := b.intent
	r.Kind, r.EndReason, r.EndedAt = KindSettle, EndRecovered, b.seen
	// The intent says what the worst case reckons with, which may be less than the client allowed.
	answer := Answer{End: EndRecovered, WorstCompletion: r.MaxCompletion, Delivered: b.delivered()}
	tokens := Tokens{Prompt: b.intent.Prompt}
	if c := b.checkpoint; c.Kind != "" {
		tokens = c.Tokens
		r.Delivered, r.FirstByteAt = c.Delivered, c.FirstByteAt
		r.UpstreamID = cmp.Or(c.UpstreamID, r.UpstreamID)
		r.MaxCompletion = cmp.Or(c.MaxCompletion, r.MaxCompletion)
	}
	answer.MaxCompletion = r.MaxCompletion
	if !b.failed {
		answer.Estimate = func() Tokens { return tokens }
	}
	verdict := Decide(answer)
	r.Source, r.Tokens = verdict.Source, verdict.Tokens
	r.Charge, r.ChargePrice, r.Cost, r.CostPrice = 0, "", 0, ""
	var chargeErr, costErr error
	if verdict.Charged {
		r.Charge, r.ChargePrice, chargeErr = prices.Charge(r.Model, verdict.Tokens, r.AcceptedAt)
	}
	r.Cost, r.CostPrice, costErr = prices.Cost(r.Provider, r.UpstreamModel, verdict.Cost, r.AcceptedAt)
	return r, errors.Join(chargeErr, costErr)
}

// recover settles what a crash has left open, in the order in which it began. Should
// the process die meanwhile, the next start goes on: a request that was settled is not
// open any more.
func (b *Books) recover(found *recovery, prices *PriceBook) {
	if len(found.open) == 0 {
		return
	}
	if prices == nil {
		prices = &PriceBook{}
	}
	open := make([]*begun, 0, len(found.open))
	for _, one := range found.open {
		open = append(open, one)
	}
	slices.SortFunc(open, func(x, y *begun) int { return cmp.Compare(x.first, y.first) })
	var last uint64
	for _, one := range open {
		if sequence := b.settleOpen(one, prices); sequence > 0 {
			last = sequence
			b.recovered.Add(1)
		}
	}
	if last == 0 {
		return // the log says of each why it could not be written
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := b.journal.Await(ctx, last); err != nil {
		b.log.Error("the bills of requests that a crash had left open are written and may not be safe", telemetry.FieldError, err)
	}
	b.log.Warn("requests that a crash had left open are settled", telemetry.FieldCount, b.recovered.Load())
}

// settleOpen writes the bill of one request and returns its sequence; 0: it could not be written yet.
func (b *Books) settleOpen(one *begun, prices *PriceBook) uint64 {
	r, err := one.settle(prices)
	if err != nil {
		// An amount beyond all bounds: the bill says whatever could be computed.
		b.log.Error("a price was not computed", telemetry.FieldRequestID, r.RequestID, telemetry.FieldError, err)
	}
	f, err := b.fill(&r)
	if err != nil {
		return b.settleBare(&r, err)
	}
	defer b.put(f)
	crash.Point("recover.before_settle")
	sequence, err := b.write(f, promise{})
	if err != nil {
		b.log.Error("the bill of a request that a crash had left open is not on record yet", telemetry.FieldRequestID, r.RequestID, telemetry.FieldError, err)
		b.postpone(f)
		return 0
	}
	crash.Point("recover.after_settle")
	return sequence
}
