package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/telemetry"
)

// rejectedFile takes what can never be kept, a JSON object per line.
const rejectedFile = "rejected.jsonl"

const (
	// maxRejected bounds that file, in bytes: whatever fills it is one fault, many times.
	maxRejected = 4 << 20
	// maxRaw bounds what one line shows of an entry that is no record.
	maxRaw = 32 << 10
)

// rejects are the records that can never be kept. They are money all the same, so they
// are put aside where somebody can look at them.
type rejects struct {
	path  string
	log   *slog.Logger
	count atomic.Uint64

	mu sync.Mutex
}

// reject is a line of the file. Raw is what stood in the journal where that is no record.
type reject struct {
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Record *Record   `json:"record,omitempty"`
	Raw    []byte    `json:"raw,omitempty"`
}

// except puts aside what a ledger has rejected, and returns any other error, or why it
// could not be put aside.
func (r *rejects) except(err error) error {
	var rejected *RejectedError
	if !errors.As(err, &rejected) {
		return err
	}
	var lines []reject
	for _, one := range rejected.Rejections {
		lines = append(lines, rejectRecord(one.Record, one.Err))
	}
	return r.keep(lines)
}

// rejectRecord is the line for a record; what of it a line cannot hold is left out.
func rejectRecord(r Record, why error) reject {
	r = r.legible()
	return reject{Error: why.Error(), Record: &r}
}

// rejectEntry is the line for an entry of the journal that is no record.
func rejectEntry(sequence uint64, payload []byte, why error) reject {
	return reject{Error: fmt.Sprintf("entry %d of the journal: %v", sequence, why), Raw: slices.Clone(payload[:min(len(payload), maxRaw)])}
}

// keep puts records aside: after an error none of them. One that the file has no room
// for is kept in the log, for it must not hold up all others for ever.
func (r *rejects) keep(lines []reject) error {
	if len(lines) == 0 {
		return nil
	}
	fit, err := r.write(lines)
	if err != nil {
		return fmt.Errorf("%d records that can never be kept are not put aside: %w", len(lines), err)
	}
	r.count.Add(uint64(len(lines)))
	for i, line := range lines {
		switch {
		case i >= fit && line.Record != nil:
			r.log.Error("a usage record that can never be kept is not put aside, since rejected.jsonl has reached its bound: look into it and remove it",
				telemetry.FieldRequestID, line.Record.RequestID, telemetry.FieldError, inWords(line.Record, errors.New(line.Error)))
		case i >= fit:
			r.log.Error("an entry that is no usage record is not put aside, since rejected.jsonl has reached its bound: look into it and remove it",
				telemetry.FieldError, line.Error)
		case line.Record != nil:
			r.log.Error("a usage record can never be kept; it is put aside in rejected.jsonl",
				telemetry.FieldRequestID, line.Record.RequestID, telemetry.FieldError, line.Error)
		default:
			r.log.Error("an entry of the journal is no usage record; it is put aside in rejected.jsonl", telemetry.FieldError, line.Error)
		}
	}
	return nil
}

// write appends the first lines, as many as fit, and returns how many those are.
func (r *rejects) write(lines []reject) (fit int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	var all []byte
	for ; fit < len(lines); fit++ {
		lines[fit].At = time.Now().UTC()
		raw, err := json.Marshal(lines[fit])
		if err != nil {
			return 0, err
		}
		if info.Size()+int64(len(all)+len(raw)) >= maxRejected {
			break
		}
		all = append(append(all, raw...), '\n')
	}
	if fit == 0 {
		return 0, nil
	}
	if _, err = file.Write(all); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return 0, errors.Join(err, file.Truncate(info.Size())) // they will come again
	}
	return fit, nil
}

// legible is the record with whatever JSON can say of it, and no text beyond its bound.
func (r Record) legible() Record {
	for _, f := range [...]struct {
		text *string
		most int
	}{
		{&r.RequestID, maxName},
		{&r.Tenant, maxName},
		{&r.KeyID, maxName},
		{&r.Model, maxName},
		{&r.Provider, maxName},
		{&r.Endpoint, maxName},
		{&r.UpstreamModel, maxName},
		{&r.TraceID, maxName},
		{&r.ChargePrice, 2 * maxName},
		{&r.CostPrice, 2 * maxName},
		{&r.UpstreamID, maxRemark},
		{&r.Rejected, maxRemark},
	} {
		*f.text = (*f.text)[:min(len(*f.text), f.most)]
	}
	for _, t := range [...]*time.Time{&r.AcceptedAt, &r.FirstByteAt, &r.EndedAt} {
		if *t = t.UTC().Round(0); !hasFourDigits(t.Year()) {
			*t = time.Time{}
		}
	}
	r.Trail = r.Trail.object()
	return r
}

// inWords says why a record was not kept, and all of its figures: a bill can be made of
// them. What others wrote is left out.
func inWords(r *Record, why error) error {
	said := r.legible()
	said.UpstreamID, said.Rejected, said.Trail = "", "", ""
	raw, err := json.Marshal(said)
	if err != nil {
		return errors.Join(why, err)
	}
	return fmt.Errorf("%w: %s", why, raw)
}

// bare is the settle of a request whose own one cannot be kept: it says that the request
// has ended, and nothing else.
func (r Record) bare() Record {
	bare := Record{
		RequestID: r.RequestID, Kind: KindSettle, Attempt: r.Attempt, Tenant: r.Tenant, KeyID: r.KeyID, Model: r.Model,
		Provider: r.Provider, Endpoint: r.Endpoint, UpstreamModel: r.UpstreamModel, Stream: r.Stream,
		EndReason: r.EndReason, Source: SourceNone, AcceptedAt: r.AcceptedAt, EndedAt: r.EndedAt, TraceID: r.TraceID,
	}
	return bare.legible()
}

// settleBare puts a bill aside that can never be kept, and an empty one on record in its
// place: the request has ended, and must not be taken for one that is open. It returns
// the sequence of that; 0: it could not be written yet, or is none either.
func (b *Books) settleBare(r *Record, why error) (sequence uint64) {
	// First of all, and whatever the disk does.
	b.log.Error("a bill can never be kept: an empty one takes its place", telemetry.FieldRequestID, r.RequestID, telemetry.FieldError, inWords(r, why))
	bare := r.bare()
	f, err := b.fill(&bare)
	if err != nil { // it is not only its figures
		bare = Record{RequestID: r.RequestID, Kind: KindSettle, EndReason: r.EndReason, Source: SourceNone, AcceptedAt: time.Now()}
		f, err = b.fill(&bare)
	}
	if err == nil {
		defer b.put(f)
		promised, _ := b.open.get(r.RequestID)
		if sequence, err = b.write(f, promised); err != nil {
			b.postpone(f)
			return 0 // the disk does not take anything else either
		}
		b.open.remove(r.RequestID)
	}
	if err := b.shipper.rejects.keep([]reject{rejectRecord(*r, why)}); err != nil {
		b.log.Error("a bill that can never be kept stands in the log alone", telemetry.FieldRequestID, r.RequestID, telemetry.FieldError, err)
	}
	return sequence
}
