package simulator

import (
	"fmt"
	"sync"
	"time"
)

// FaultKind is what a Fault does.
type FaultKind string

// The faults that can be injected.
const (
	// Respond answers with Status, Header and Body instead of the provider's answer.
	Respond FaultKind = "respond"
	// HangBeforeHeaders reads the request and stays silent.
	HangBeforeHeaders FaultKind = "hang_before_headers"
	// HangBeforeFirstEvent sends status 200 and the header, then nothing.
	HangBeforeFirstEvent FaultKind = "hang_before_first_event"
	// Stall falls silent when Events events of a stream are sent; a plain answer
	// has none and falls silent after its header.
	Stall FaultKind = "stall"
	// Cut ends the TCP connection when AtByte bytes of the body are sent, even if
	// they are the whole body; a body shorter than AtByte is sent unharmed.
	Cut FaultKind = "cut"
	// Drop ends the TCP connection without a byte of an answer.
	Drop FaultKind = "drop"
)

// A Fault says which requests fail, and how. Only requests that the provider
// would have answered are struck: a refused one has its answer already. The
// zero value of Provider, Model, Nth, Every and Times restricts nothing.
type Fault struct {
	// Name is how the truth log calls the fault; its Kind when empty.
	Name string

	// Provider and Model match the requests that the fault counts.
	Provider Provider
	Model    string
	// Nth strikes the nth request counted, 1 being the first, and no other.
	Nth int
	// Every strikes each request whose number is a multiple of it.
	Every int
	// Times is how often the fault strikes before it is spent.
	Times int

	// Kind is what happens to a struck request; the fields below belong to single kinds.
	Kind FaultKind
	// Status (200 when 0), Header and Body are the answer of Respond. An empty body under a
	// status of 400 or more becomes an error in OpenAI's shape.
	Status int
	Header map[string]string
	Body   string
	// Events is where Stall falls silent.
	Events int
	// AtByte is where Cut cuts, counted in bytes of the body without its transfer coding.
	AtByte int64
	// Reset ends the connection of Cut and Drop with a TCP reset (RST), not with an end (FIN).
	Reset bool
	// For is how long the hangs and Stall last before the answer goes on; when 0,
	// until the client leaves or the server closes.
	For time.Duration
}

// String names the fault.
func (f *Fault) String() string {
	if f == nil {
		return ""
	}
	if f.Name != "" {
		return f.Name
	}
	return string(f.Kind)
}

func (f *Fault) is(k FaultKind) bool { return f != nil && f.Kind == k }

func (f *Fault) valid() error {
	switch f.Kind {
	case Respond, HangBeforeHeaders, HangBeforeFirstEvent, Stall, Cut, Drop:
	default:
		return fmt.Errorf("fault %q: unknown kind %q", f.Name, f.Kind)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("fault %q: status %d is not between 200 and 599", f, f.Status)
	}
	if f.AtByte < 0 {
		return fmt.Errorf("fault %q: AtByte must be 0 or more, got %d", f, f.AtByte)
	}
	return nil
}

// stallsAt reports whether the fault falls silent when so many events are sent.
func (f *Fault) stallsAt(events int) bool {
	return f.is(HangBeforeFirstEvent) && events == 0 || f.is(Stall) && events == f.Events
}

// cutAfter is how many more bytes of a body may be sent; all when it is not cut.
func (f *Fault) cutAfter(sent int64, wanted int) (allowed int, cut bool) {
	if !f.is(Cut) || sent+int64(wanted) < f.AtByte {
		return wanted, false
	}
	return int(f.AtByte - sent), true
}

// faults are the injected faults with what each has counted.
type faults struct {
	mu   sync.Mutex
	rows []*faultRow
}

type faultRow struct {
	Fault
	seen, struck int
}

func (f *faults) add(added []Fault) error {
	for i := range added {
		if err := added[i].valid(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range added {
		f.rows = append(f.rows, &faultRow{Fault: one})
	}
	return nil
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = nil
}

// strike counts the request with every fault that matches it and returns the
// first that is due; nil for none.
func (f *faults) strike(p Provider, model string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due *Fault
	for _, row := range f.rows {
		if row.Provider != "" && row.Provider != p || row.Model != "" && row.Model != model {
			continue
		}
		row.seen++
		if due == nil && row.isDue() {
			row.struck++
			due = &row.Fault
		}
	}
	return due
}

func (r *faultRow) isDue() bool {
	return (r.Nth == 0 || r.seen == r.Nth) &&
		(r.Every == 0 || r.seen%r.Every == 0) &&
		(r.Times == 0 || r.struck < r.Times)
}
