package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
)

// deliver sends the answer, or what the fault makes of it. Its error says why
// the answer is not whole.
func (x *exchange) deliver(q *ask) error {
	switch {
	case x.fault.is(Drop):
		return errCut
	case x.fault.is(Respond):
		return x.respond("application/json", []byte(x.fault.Body))
	case x.fault.is(HTML):
		const page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>\n"
		return x.respond("text/html; charset=utf-8", []byte(cmp.Or(x.fault.Body, page)))
	}
	a := x.contract.compose(q, x.behaviour, x.sim.options.Seed)
	a.created = x.sim.options.Now().Unix()
	a.fault = x.fault
	if x.fault.is(GiantEvent) {
		a.swell(x.fault.Events, cmp.Or(x.fault.Size, usualGiant))
	}
	x.record.planned(a)
	if x.fault.is(HangBeforeHeaders) {
		if err := x.hang(); err != nil {
			return err
		}
	}
	if q.stream {
		return x.stream(a)
	}
	return x.plain(a)
}

// respond sends the fault's own answer. Only an event stream has no length.
func (x *exchange) respond(contentType string, body []byte) error {
	status := cmp.Or(x.fault.Status, http.StatusOK)
	if len(body) == 0 && status >= http.StatusBadRequest {
		made := faultRefusal(status)
		body = made.body()
		x.record.note(func(e *Entry) { e.ErrorCode = made.Code })
	}
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	for name, value := range x.fault.Header {
		h.Set(name, value)
	}
	if h.Get("Content-Type") == "text/event-stream" {
		h.Del("Content-Length")
	}
	x.header(status)
	_, err := x.send(body)
	if err == nil {
		x.record.complete(func(*Entry) {})
	}
	return err
}

// faultRefusal is what an OpenAI-compatible provider says with such a status.
func faultRefusal(status int) *Refusal {
	made := invalid(status, "", "simulated_fault", fmt.Sprintf("Simulated fault: %d %s.", status, http.StatusText(status)))
	switch {
	case status == http.StatusTooManyRequests:
		made.Type, made.Code = "rate_limit_error", "rate_limit_exceeded"
	case status >= http.StatusInternalServerError:
		made.Type = "server_error"
	}
	return made
}
