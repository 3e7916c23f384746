package simulator

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// plain sends the answer as one JSON body, when the same stream would have ended.
func (x *exchange) plain(a *answer) error {
	gaps := max(a.longest()-1, 0)
	if err := x.pause(x.behaviour.FirstToken + time.Duration(gaps)*x.behaviour.Gap); err != nil {
		return err
	}
	p := x.parcel(encode(x.contract.plain(a)))
	x.w.Header().Set("Content-Type", "application/json")
	if !p.chunked {
		x.w.Header().Set("Content-Length", strconv.Itoa(p.announced))
	}
	x.header(http.StatusOK)
	if x.fault.is(Stall, HangBeforeFirstEvent) {
		if err := x.flush(); err != nil {
			return err
		}
		if err := x.hang(); err != nil {
			return err
		}
	}
	sent, err := x.post(p)
	if p.whole && sent == len(p.body) {
		x.record.wroteAll(a)
	}
	return err
}

// A parcel is what goes out of a plain answer, and how.
type parcel struct {
	body      []byte
	announced int // Content-Length, unless it is chunked
	chunked   bool
	whole     bool // body is the whole answer
}

// parcel is what the fault makes of a plain answer before it is sent.
func (x *exchange) parcel(whole []byte) parcel {
	half := whole[:len(whole)/2]
	p := parcel{body: whole, announced: len(whole), whole: true}
	switch {
	case x.fault.is(Empty):
		p = parcel{}
	case x.fault.is(ErrorEvent):
		body := x.simulatedError()
		p = parcel{body: body, announced: len(body)}
	case x.fault.is(MalformedEvent):
		p = parcel{body: half, announced: len(half)}
	case x.fault.is(EndEarly, MalformedChunk):
		p = parcel{body: half, chunked: true}
	case x.fault.is(CutBetween, CutInside):
		p.chunked = true
	case x.fault.is(ShortBody):
		p.announced++
		if at := x.fault.AtByte; at > 0 && at < int64(len(whole)) {
			p.body, p.whole = whole[:at], false
		}
	case x.fault.is(Drip):
		p.chunked = x.fault.For > 0
	}
	return p
}

// post sends a parcel as the fault wants it, and returns how many bytes of its
// body are with the socket.
func (x *exchange) post(p parcel) (int, error) {
	switch {
	case x.fault.is(Drip) && x.fault.For > 0:
		return 0, x.dripInVain(nil, cmp.Or(x.fault.Body, " "))
	case x.fault.is(Drip):
		return x.drip(p.body)
	case x.fault.is(ShortBody, CutBetween):
		if err := x.write(p.body); err != nil {
			return 0, err
		}
		return len(p.body), errCut
	}
	sent, err := x.send(p.body)
	if err == nil && x.fault.is(MalformedChunk) {
		err = x.malformedChunk()
	}
	return sent, err
}

// simulatedError is the error object of ErrorEvent.
func (x *exchange) simulatedError() []byte {
	if x.fault.Body != "" {
		return []byte(x.fault.Body)
	}
	made := faultRefusal(http.StatusInternalServerError)
	made.Message = "Simulated fault: an error in the answer."
	x.record.note(func(e *Entry) { e.ErrorCode = made.Code })
	return bytes.TrimSpace(made.body())
}
