package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Journal is how the journal of usage fares, on its way to the ledger.
type Journal struct {
	// Ready tells whether new requests may begin.
	Ready bool
	// Bytes is what it takes on the disk, Room what is left for entries, and Promised how much of that is held for
	// how open requests will end.
	Bytes, Room, Promised int64
	// Unshipped counts the records that the ledger was not yet given, and Lag is the age of the oldest that it should have been given; 0: there is none.
	Unshipped uint64
	Lag       time.Duration
	// Open counts the requests that have begun and have no bill yet.
	Open int
	// Refused counts the requests, and further attempts, that were not begun since the start.
	Refused uint64
	// Rejected counts the records that can never be kept, and Dropped those that were not written.
	Rejected, Dropped uint64
	// Recovered counts the bills that were made at the start, for requests that a crash had left open.
	Recovered uint64
}

// JournalSync counts an fsync of the journal: took is how long it lasted, err how it went.
func (m *Metrics) JournalSync(took time.Duration, err error) {
	if m == nil {
		return
	}
	m.journalSync.Record(context.Background(), took.Seconds())
	if err != nil {
		m.journalSyncFailures.of(nil).add()
	}
}

// ObserveJournal reports how the journal fares. f is called at every scrape, so it must not wait for the disk.
func (m *Metrics) ObserveJournal(f func() Journal) error {
	if m == nil {
		return nil
	}
	m.journalSyncFailures.of(nil).show() // an increase is only seen of what was there before
	i := m.journalInstruments
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		j := f()
		o.ObserveInt64(i.journalReady, asInt(j.Ready))
		o.ObserveInt64(i.journalSize, j.Bytes)
		o.ObserveInt64(i.journalRoom, j.Room)
		o.ObserveInt64(i.journalPromised, j.Promised)
		o.ObserveInt64(i.journalUnshipped, int64(j.Unshipped)) //nolint:gosec // a count of events does not reach 2^63
		o.ObserveFloat64(i.journalLag, j.Lag.Seconds())
		o.ObserveInt64(i.journalOpen, int64(j.Open))
		o.ObserveInt64(i.journalRefused, int64(j.Refused))     //nolint:gosec // the same
		o.ObserveInt64(i.journalRejected, int64(j.Rejected))   //nolint:gosec // the same
		o.ObserveInt64(i.journalDropped, int64(j.Dropped))     //nolint:gosec // the same
		o.ObserveInt64(i.journalRecovered, int64(j.Recovered)) //nolint:gosec // the same
		return nil
	}, i.journalReady, i.journalSize, i.journalRoom, i.journalPromised, i.journalUnshipped, i.journalLag, i.journalOpen,
		i.journalRefused, i.journalRejected, i.journalDropped, i.journalRecovered)
	return err
}

// journalInstruments measure the journal of usage.
type journalInstruments struct {
	journalSync         metric.Float64Histogram
	journalSyncFailures *tallies
	journalReady        metric.Int64ObservableGauge
	journalSize         metric.Int64ObservableGauge
	journalRoom         metric.Int64ObservableGauge
	journalPromised     metric.Int64ObservableGauge
	journalUnshipped    metric.Int64ObservableGauge
	journalLag          metric.Float64ObservableGauge
	journalOpen         metric.Int64ObservableUpDownCounter
	journalRefused      metric.Int64ObservableCounter
	journalRejected     metric.Int64ObservableCounter
	journalDropped      metric.Int64ObservableCounter
	journalRecovered    metric.Int64ObservableCounter
}

func (b *builder) journal() journalInstruments {
	return journalInstruments{
		journalSync:         b.seconds(metricJournalSync, "Duration of the journal's fsyncs.", syncSeconds()),
		journalSyncFailures: b.counter(metricJournalSyncFailures, "{fsync}", "Fsyncs of the journal that failed."),
		journalReady:        b.flag(metricJournalReady, "1 while the journal takes new requests, else 0."),
		journalSize:         b.gauge(metricJournalSize, "By", "What the journal takes on the disk."),
		journalRoom:         b.gauge(metricJournalRoom, "By", "Room that is left in the journal."),
		journalPromised:     b.gauge(metricJournalPromised, "By", "Room in the journal that is held for how open requests will end."),
		journalUnshipped:    b.gauge(metricJournalUnshipped, "{record}", "Records in the journal that the ledger was not yet given."),
		journalLag:          b.observedSeconds(metricJournalLag, "Age of the oldest record that the ledger should have been given and was not."),
		journalOpen:         b.inProgress(metricJournalOpen, "Requests that have begun and have no bill yet."),
		journalRefused:      b.observedCounter(metricJournalRefused, "{request}", "Requests and further attempts that were not begun, because the journal did not take them."),
		journalRejected:     b.observedCounter(metricJournalRejected, "{record}", "Records that can never be kept."),
		journalDropped:      b.observedCounter(metricJournalDropped, "{record}", "Records that were not written, because the journal did not take them."),
		journalRecovered:    b.observedCounter(metricJournalRecovered, "{request}", "Requests that were settled at the start, because a crash had left them open."),
	}
}

// syncSeconds are fine where a disk should be, and end where requests are felt to hang.
func syncSeconds() []float64 {
	return []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5}
}
