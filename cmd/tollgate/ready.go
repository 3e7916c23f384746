package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tollgate/admin"
	"tollgate/config"
	"tollgate/telemetry"
	"tollgate/usage"
	"tollgate/usage/journal"
)

// openBooks opens the journal that a configuration names, in front of its ledger, and settles what a crash has left open.
func openBooks(c *config.Config, ledger *usage.Ledger, o usage.BooksOptions) (*usage.Books, error) {
	prices, err := usage.NewPriceBook(c.Usage)
	if err != nil {
		return nil, err
	}
	o.Dir, o.Config, o.Ledger, o.Prices = journalFolder(c.DataDir), c.Usage.Journal, ledger, prices
	return usage.OpenBooks(o)
}

// unready says why this replica takes no traffic, for /readyz.
func (p *process) unready() admin.Unready {
	if p.draining.Load() {
		return admin.Unready{Status: "draining"}
	}
	if err := p.books.Err(); err != nil {
		return admin.Unready{Status: "journal", Reason: publicReason(err)}
	}
	return admin.Unready{}
}

// publicReason is why the journal takes nothing, without the paths and the system's words
// that the log has: /readyz asks for no token.
func publicReason(err error) string {
	for _, known := range [...]error{journal.ErrFull, journal.ErrFailing, journal.ErrClosed} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return usage.ErrUnavailable.Error()
}

// journalState is how the journal fares, for the metrics.
func (p *process) journalState() telemetry.Journal {
	s := p.books.Stats()
	return telemetry.Journal{
		Ready: p.books.Err() == nil,
		Bytes: s.Journal.Bytes, Room: s.Journal.Room, Promised: s.Journal.Promised,
		Unshipped: s.Unshipped, Lag: s.Lag, Open: s.Open,
		Refused: s.Refused, Rejected: s.Rejected, Dropped: s.Dropped, Recovered: s.Recovered,
	}
}

// journalLook is how often watchJournal looks.
const journalLook = 250 * time.Millisecond

// journalling is what watchJournal watches. *usage.Books is one.
type journalling interface {
	// Err says why no new request may begin; nil: they may.
	Err() error
}

// watchJournal says in the log when the journal stops taking new requests, and when it takes them again, until ctx is
// done. Each request that is refused has its own line, but where load balancers obey /readyz there are soon none.
func watchJournal(ctx context.Context, books journalling, log *slog.Logger) {
	look := time.NewTicker(journalLook)
	defer look.Stop()
	for stopped := false; ; {
		switch err := books.Err(); {
		case err != nil && !stopped:
			log.Error("no new requests are taken: what they use cannot be put on record", telemetry.FieldError, err)
			stopped = true
		case err == nil && stopped:
			log.Info("new requests are taken again")
			stopped = false
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}
