package proxy

import (
	"time"

	"tollgate/usage"
)

// A stream is put on record again when it has come so much further. Whoever finds it
// without an end bills what was on record last.
const (
	checkpointBytes = 1 << 10 // of the answer's text: about 256 tokens
	checkpointTime  = 2 * time.Second
)

// severed implements severable. The alarm asks about once a second while nothing comes,
// which is when a stream that has fallen silent is put on record, too.
func (r *relay) severed() bool {
	r.checkpoint(time.Now())
	return r.x.severed()
}

// checkpoint puts on record how far the stream has come, where that is due. It is
// called between two batches of events, or while the next one is waited for.
func (r *relay) checkpoint(now time.Time) {
	x := r.x
	further := x.textOut - r.marked
	if further < checkpointBytes && now.Sub(r.markedAt) < checkpointTime {
		return
	}
	r.markedAt = now
	if !x.delivered || further == 0 && r.noted {
		return // there is nothing to bill, or nothing more
	}
	r.marked, r.noted = x.textOut, true
	note := x.draft(usage.KindCheckpoint)
	note.Prompt, note.Completion, note.EndedAt = x.promptSoFar(), r.completionSoFar(), r.heard.UTC()
	note.MaxCompletion = x.allowance.most // whoever settles it holds the count against that, as an end would
	note.UpstreamID = r.s.unlessSecret(r.s.tap.ID())
	if heard := r.s.meter.Bytes(); heard > 0 {
		note.Delivered = note.Completion * x.textOut / heard
	}
	x.gateway.Recorder.Note(note)
	x.file(note)
}

// completionSoFar is the count of the answer's text so far. Counting takes a hundred
// microseconds for a kilobyte, so an answer that its provider counts itself is counted
// for its first one, and taken to go on alike.
func (r *relay) completionSoFar() int64 {
	meter := r.s.meter
	if r.s.counting == usage.CountEagerly || r.sampled < checkpointBytes {
		r.sampled, r.sampledTokens = meter.Bytes(), r.x.gateway.count(meter.Bytes(), meter.SoFar)
		return r.sampledTokens
	}
	return r.sampledTokens * meter.Bytes() / r.sampled
}

// promptSoFar is the prompt's count if somebody has made it, else what its length tells.
func (x *exchange) promptSoFar() int64 {
	select {
	case n := <-x.promptTokens: // of which there are none where nobody counts
		x.promptTokens <- n
		return n
	default:
		return lengthTokens(x.prompt.total)
	}
}
