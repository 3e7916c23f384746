package proxy

import (
	"io"
	"runtime/debug"
	"time"

	"tollgate/telemetry"
)

// How much of an answer is read on for its connection's sake, how long, and how
// many are at a time: a pool does not keep more connections.
const (
	restBytes = 8 << 10
	restTime  = 100 * time.Millisecond
	mostRests = 512
)

// isWorthFinishing reports whether little may be left of an answer that nobody
// has cancelled.
func (s *serving) isWorthFinishing() bool {
	return s.response != nil && !s.ended && s.ctx.Err() == nil && s.response.ContentLength <= restBytes
}

// finishBody reads what is left of an answer, such as the end of the transfer behind
// [DONE] or a refusal's text, so that the connection can be used again. To dial for
// every request is the last thing that a provider in trouble needs.
func (s *serving) finishBody() {
	defer func() {
		if recover() != nil { // where a panic would end the process
			s.gateway.Log.Error("panic behind an answer", telemetry.FieldStack, string(debug.Stack()))
		}
	}()
	defer s.release()
	defer s.gateway.rests.Add(-1)
	if s.gateway.rests.Add(1) > mostRests {
		return
	}
	s.alarm.set(restTime, errFinished)
	_, _ = io.CopyN(io.Discard, s.response.Body, restBytes) // closed where more is left
}
