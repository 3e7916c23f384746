package telemetry

import (
	"errors"
	"testing"
	"time"
)

func TestJournal(t *testing.T) {
	tel := start(t, DefaultConfig())
	m := tel.Metrics()
	wantSamples(t, tel, "tollgate_journal_")
	var now Journal
	if err := m.ObserveJournal(func() Journal { return now }); err != nil {
		t.Fatal(err)
	}
	wantSamples(t, tel, "tollgate_journal_", // at 0, too: an alert on an increase sees the first only if the series was there before
		`tollgate_journal_dropped_total 0`,
		`tollgate_journal_lag_seconds 0`,
		`tollgate_journal_open 0`,
		`tollgate_journal_promised_bytes 0`,
		`tollgate_journal_ready 0`,
		`tollgate_journal_recovered_total 0`,
		`tollgate_journal_refused_total 0`,
		`tollgate_journal_rejected_total 0`,
		`tollgate_journal_room_bytes 0`,
		`tollgate_journal_size_bytes 0`,
		`tollgate_journal_sync_failures_total 0`,
		`tollgate_journal_unshipped 0`)

	now = Journal{
		Ready: true, Bytes: 24 << 20, Room: 1000, Promised: 200, Unshipped: 7, Lag: 1500 * time.Millisecond, Open: 3,
		Refused: 11, Rejected: 12, Dropped: 13, Recovered: 14,
	}
	m.JournalSync(2*time.Millisecond, nil)
	m.JournalSync(time.Second, errors.New("input/output error"))
	wantSamples(t, tel, "tollgate_journal_",
		`tollgate_journal_dropped_total 13`,
		`tollgate_journal_lag_seconds 1.5`,
		`tollgate_journal_open 3`,
		`tollgate_journal_promised_bytes 200`,
		`tollgate_journal_ready 1`,
		`tollgate_journal_recovered_total 14`,
		`tollgate_journal_refused_total 11`,
		`tollgate_journal_rejected_total 12`,
		`tollgate_journal_room_bytes 1000`,
		`tollgate_journal_size_bytes 2.5165824e+07`,
		`tollgate_journal_sync_duration_seconds_count 2`,
		`tollgate_journal_sync_duration_seconds_sum 1.002`,
		`tollgate_journal_sync_failures_total 1`,
		`tollgate_journal_unshipped 7`)

	var none *Metrics
	none.JournalSync(time.Second, nil)
	if err := none.ObserveJournal(nil); err != nil {
		t.Error(err)
	}
}
