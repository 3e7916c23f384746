package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"tollgate/config"
	"tollgate/store"
	"tollgate/usage"
	"tollgate/usage/journal"

	"github.com/spf13/cobra"
)

func newJournalShip(stdout, stderr io.Writer) *cobra.Command {
	j := &journalCommand{operator: operator{stdout: stdout}, stderr: stderr}
	all := false
	cmd := &cobra.Command{
		Use:   "ship",
		Short: "Give the ledger what is in a journal and not in it yet",
		Long: `Do what a gateway does at its start, and end: settle the requests that a crash has
left open, by their last checkpoint, and give the ledger every record of the journal
that it does not have. With --all it is given everything that the journal has kept,
once more: for a ledger that came from a backup. What it has already changes nothing.

The gateway must have ended: one that runs does this by itself.`,
		Example: `  tollgate journal ship -c config.yaml
  tollgate journal ship -c config.yaml --all -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(j.config)
			if err != nil {
				return &usageError{err}
			}
			shipped, err := j.ship(cmd.Context(), c, all)
			if err != nil {
				return err
			}
			if err := j.print(shipped, shipped.rows); err != nil || shipped.Rejected == 0 {
				return err
			}
			return fmt.Errorf("%d record%s cannot be kept by the ledger, and stand in rejected.jsonl in %s: this is a fault of Tollgate's own: please report it",
				shipped.Rejected, plural(int64(shipped.Rejected)), journalFolder(c.DataDir)) //nolint:gosec // a count
		},
	}
	j.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "give it everything that the journal has kept, once more")
	return cmd
}

// shipment is what the ledger was given.
type shipment struct {
	// Recovered are the requests that had no end, and have a bill now.
	Recovered uint64 `json:"recovered"`
	// Shipped are the records that the ledger was not given before, these bills among them.
	Shipped uint64 `json:"shipped"`
	// Reshipped are the records that it was given once more; nil: that was not asked for.
	Reshipped *int `json:"reshipped,omitempty"`
	// Rejected are the records that it can never keep.
	Rejected uint64 `json:"rejected"`
}

func (s shipment) rows(w io.Writer) {
	row(w, "recovered", s.Recovered)
	row(w, "shipped", s.Shipped)
	if s.Reshipped != nil {
		row(w, "reshipped", *s.Reshipped)
	}
	if s.Rejected > 0 {
		row(w, "rejected", s.Rejected)
	}
}

func (j *journalCommand) ship(ctx context.Context, c *config.Config, all bool) (s shipment, err error) {
	if _, err := existing(journalFolder(c.DataDir)); err != nil {
		return s, err
	}
	db, err := store.OpenBolt(c.DataDir)
	if err != nil {
		return s, heldByGateway(err, c.DataDir)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ledger, err := usage.OpenLedger(db)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	books, err := openBooks(c, ledger, usage.BooksOptions{Log: j.warnings()})
	if err != nil {
		return s, heldByGateway(err, c.DataDir)
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	if err := books.Ship(ctx); err != nil {
		return s, err
	}
	found := books.Stats()
	s.Recovered, s.Shipped, s.Rejected = found.Recovered, found.Shipped, found.Rejected
	if all {
		n, err := books.Reship(ctx)
		if err != nil {
			return s, err
		}
		s.Reshipped = &n
	}
	return s, nil
}

// warnings is a log for somebody who waits for the command.
func (j *journalCommand) warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(j.stderr, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// heldByGateway says what to do where another process has the data folder.
func heldByGateway(err error, dataDir string) error {
	if errors.Is(err, store.ErrLocked) || errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("a gateway runs with %s: stop it first", filepath.Clean(dataDir))
	}
	return err
}
