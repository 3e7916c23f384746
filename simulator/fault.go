package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// FaultKind is what a Fault does.
type FaultKind string

// The faults that can be injected. Where nothing is said of a plain answer, it
// is sent unharmed; so is a stream that has fewer events than Fault.Events.
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
	// Drip sends the event behind Events events byte by byte, one every Interval, and goes on
	// normally; of a plain answer the whole body. With For, nothing is ever completed instead: of
	// a stream the event without its blank line and then comment lines are dripped, of a plain
	// answer spaces before its JSON, in chunks; when For is over, the connection ends. Body
	// replaces what is dripped then, over and over.
	Drip FaultKind = "drip"

	// Drop ends the TCP connection without a byte of an answer.
	Drop FaultKind = "drop"
	// Cut ends the TCP connection when AtByte bytes of the body are sent, even if
	// they are the whole body; a body shorter than AtByte is sent unharmed. The bytes sent are
	// whole HTTP chunks of a stream; a plain answer has announced its whole length.
	Cut FaultKind = "cut"
	// CutBetween ends the TCP connection when Events events are sent, between two HTTP chunks;
	// when Events is all of them, [DONE] included, only the last chunk is missing. A plain answer
	// comes as one whole chunk, and the last chunk is missing.
	CutBetween FaultKind = "cut_between"
	// CutInside ends the TCP connection within an HTTP chunk, whose size line announces more than
	// is sent: behind AtByte bytes of the body. A body of at most AtByte bytes is sent unharmed.
	// A plain answer comes in one chunk.
	CutInside FaultKind = "cut_inside"
	// ShortBody announces one byte more than a plain answer has, sends AtByte bytes of it (the
	// whole answer when 0, or when it is shorter) and ends the connection. A stream is treated as by CutInside.
	ShortBody FaultKind = "short_body"
	// MalformedChunk sends Events events, then bytes that are no HTTP chunk (a size line "zz"),
	// and ends the connection. A plain answer comes in chunks and breaks in its middle.
	MalformedChunk FaultKind = "malformed_chunk"

	// HTML is Respond with a small page of type text/html, unless Body is another.
	HTML FaultKind = "html"
	// Empty answers 200 with the right type and an empty body, ended cleanly.
	Empty FaultKind = "empty"
	// ErrorEvent sends Events events and an event with an error object, and ends cleanly, without
	// [DONE]. A plain answer is that object, with status 200. Body replaces the object.
	ErrorEvent FaultKind = "error_event"
	// MalformedEvent puts one event that is no JSON (or Body) behind Events events. It is not
	// counted as an event. A plain answer is the first half of its JSON, with the length of that half.
	MalformedEvent FaultKind = "malformed_event"
	// EndEarly ends the body cleanly behind Events events. A plain answer is the first half of its JSON in chunks.
	EndEarly FaultKind = "end_early"
	// NoDone leaves [DONE] out, and nothing else.
	NoDone FaultKind = "no_done"
	// DoneWithoutFinish sends [DONE] right behind the content: no finish_reason, no usage. The
	// finish_reason of a plain answer is null.
	DoneWithoutFinish FaultKind = "done_without_finish"
	// AfterDone sends a stream whole, and behind its [DONE] Body as it is; when that is empty, an
	// event with content and a second [DONE]. The truth log does not count that content.
	AfterDone FaultKind = "after_done"
	// GiantEvent sends one more piece of content of Size bytes: in a stream as the event behind
	// Events events, or the first event behind them that can hold the first choice's content, in a plain answer
	// as a part of its text. It has a token for every word of 5 letters and the space before it,
	// so Size/6 of them, rounded up, in the usage and in the truth log alike. It knows no
	// max_tokens, and makes JSON and arguments of a tool call invalid.
	GiantEvent FaultKind = "giant_event"

	// WrongUsage sends Body, a JSON value of any kind, as the usage object wherever one is due;
	// when it is empty, one with negative figures. The truth log keeps the true figures.
	WrongUsage FaultKind = "wrong_usage"
	// NoUsage sends no usage where it is due.
	NoUsage FaultKind = "no_usage"
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
	// Status (200 when 0), Header and Body are the answer of Respond and HTML. An empty body of Respond under a
	// status of 400 or more becomes an error in OpenAI's shape. Other kinds that have a Body say what it is.
	Status int
	Header map[string]string
	Body   string
	// Events is how many events of a stream are sent before the fault shows. The role's events count,
	// one for each choice, and so does [DONE]; comments do not.
	Events int
	// AtByte is where Cut, CutInside and ShortBody cut, counted in bytes of the body without its transfer coding.
	AtByte int64
	// Reset ends the connection of a fault that ends it with a TCP reset (RST), not with an end
	// (FIN). A reset may overtake bytes that were sent before it.
	Reset bool
	// For is how long the hangs, Stall and Drip last. The hangs and Stall go on with the answer then; when 0,
	// they last until the client leaves or the server closes.
	For time.Duration
	// Interval is the time between two bytes of Drip; 1 ms when 0.
	Interval time.Duration
	// Size is how many bytes of text GiantEvent sends; 256 KiB when 0, at most 16 MiB.
	Size int
}

// The figures that a Fault means by 0, and the most that it may ask for.
const (
	usualInterval = time.Millisecond
	usualGiant    = 256 << 10
	mostGiant     = 16 << 20
)

// String names the fault.
func (f *Fault) String() string {
	if f == nil {
		return ""
	}
	return cmp.Or(f.Name, string(f.Kind))
}

func (f *Fault) is(kinds ...FaultKind) bool { return f != nil && slices.Contains(kinds, f.Kind) }

func (f *Fault) valid() error {
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("fault %q: unknown kind %q", f.Name, f.Kind)
	}
	if f.Provider != "" && !slices.Contains(Providers(), f.Provider) {
		return fmt.Errorf("fault %q: unknown provider %q", f, f.Provider)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("fault %q: status %d is not between 200 and 599", f, f.Status)
	}
	for _, figure := range []struct {
		name  string
		value int64
	}{
		{"Nth", int64(f.Nth)},
		{"Every", int64(f.Every)},
		{"Times", int64(f.Times)},
		{"Events", int64(f.Events)},
		{"AtByte", f.AtByte},
		{"For", int64(f.For)},
		{"Interval", int64(f.Interval)},
		{"Size", int64(f.Size)},
	} {
		if figure.value < 0 {
			return fmt.Errorf("fault %q: %s must be 0 or more, got %d", f, figure.name, figure.value)
		}
	}
	if f.Body != "" && (f.Status == http.StatusNoContent || f.Status == http.StatusNotModified) {
		return fmt.Errorf("fault %q: an answer with status %d has no Body", f, f.Status)
	}
	for name := range f.Header {
		if slices.Contains([]string{"Content-Length", "Transfer-Encoding"}, http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("fault %q: the header %s is the simulator's own", f, name)
		}
	}
	if f.Size > mostGiant {
		return fmt.Errorf("fault %q: Size must be at most %d, got %d", f, mostGiant, f.Size)
	}
	if f.Kind == WrongUsage && f.Body != "" && !json.Valid([]byte(f.Body)) {
		return fmt.Errorf("fault %q: Body must be JSON, it is sent as the usage object", f)
	}
	return nil
}

// strikesBehind reports whether the fault shows when so many events are sent.
func (f *Fault) strikesBehind(events int) bool {
	switch {
	case f == nil:
		return false
	case f.Kind == HangBeforeFirstEvent, f.Kind == Empty:
		return events == 0
	}
	return events == f.Events
}

// cutAfter is how many more bytes of a body may be sent; all when it is not cut.
func (f *Fault) cutAfter(sent int64, wanted int) (allowed int, cut bool) {
	rest := sent + int64(wanted)
	if f.is(Cut) && rest >= f.AtByte || f.is(CutInside, ShortBody) && rest > f.AtByte {
		return int(f.AtByte - sent), true
	}
	return wanted, false
}
