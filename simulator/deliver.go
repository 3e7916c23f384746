package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// deliver sends the answer, or what the fault makes of it. Its error says why
// the answer is not whole.
func (x *exchange) deliver(q *ask) error {
	switch {
	case x.fault.is(Drop):
		return errCut
	case x.fault.is(Respond):
		return x.respond()
	case x.fault.is(HangBeforeHeaders):
		if err := x.hang(); err != nil {
			return err
		}
	}
	a := x.contract.compose(q, x.behaviour, x.sim.options.Seed)
	a.created = x.sim.options.Now().Unix()
	x.record.planned(a)
	if q.stream {
		return x.stream(a)
	}
	return x.plain(a)
}

// respond sends the fault's own answer. Only an event stream has no length.
func (x *exchange) respond() error {
	status := cmp.Or(x.fault.Status, http.StatusOK)
	body := []byte(x.fault.Body)
	if len(body) == 0 && status >= http.StatusBadRequest {
		made := faultRefusal(status)
		body = made.body()
		x.record.note(func(e *Entry) { e.ErrorCode = made.code })
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	for name, value := range x.fault.Header {
		h.Set(name, value)
	}
	if h.Get("Content-Type") == "text/event-stream" {
		h.Del("Content-Length")
	}
	x.header(status)
	if err := x.send(body); err != nil {
		return err
	}
	x.record.note(func(e *Entry) { e.Done = true })
	return nil
}

// faultRefusal is what an OpenAI-compatible provider says with such a status.
func faultRefusal(status int) *refusal {
	made := invalid(status, "", "simulated_fault", fmt.Sprintf("Simulated fault: %d %s.", status, http.StatusText(status)))
	switch {
	case status == http.StatusTooManyRequests:
		made.kind, made.code = "rate_limit_error", "rate_limit_exceeded"
	case status >= http.StatusInternalServerError:
		made.kind = "server_error"
	}
	return made
}

// plain sends the answer as one JSON body, when the same stream would have ended.
func (x *exchange) plain(a *answer) error {
	gaps := max(a.longest()-1, 0)
	if err := x.pause(x.behaviour.FirstToken + time.Duration(gaps)*x.behaviour.Gap); err != nil {
		return err
	}
	body := encode(x.contract.plain(a))
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.header(http.StatusOK)
	if x.fault.is(Stall) || x.fault.is(HangBeforeFirstEvent) {
		if err := x.flush(); err != nil {
			return err
		}
		if err := x.hang(); err != nil {
			return err
		}
	}
	if err := x.send(body); err != nil {
		return err
	}
	for i := range a.choices {
		x.record.wrote(i, &a.choices[i], a.choices[i].pieces...)
	}
	x.record.note(func(e *Entry) {
		e.UsageSent, e.Done = true, true
		for i := range a.choices {
			e.Choices[i].Finish = a.choices[i].finish
		}
	})
	return nil
}

// header writes the status line and the header; they leave with the next flush.
func (x *exchange) header(status int) {
	x.w.WriteHeader(status)
	x.record.note(func(e *Entry) { e.Status = status })
}

// send hands bytes of the body to the socket, up to where a fault cuts it.
func (x *exchange) send(body []byte) error {
	allowed, cut := x.fault.cutAfter(x.sent, len(body))
	if _, err := x.w.Write(body[:allowed]); err != nil {
		return x.lost()
	}
	if err := x.flush(); err != nil {
		return err
	}
	if x.sent == 0 && allowed > 0 {
		x.record.note(func(e *Entry) { e.FirstByte = x.sim.options.Now() })
	}
	x.sent += int64(allowed)
	if cut {
		return errCut
	}
	return nil
}

func (x *exchange) flush() error {
	if err := x.control.Flush(); err != nil {
		return x.lost()
	}
	return nil
}
