package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// told is what clients and operators were told, sorted by what may be in it.
type told struct {
	headers   strings.Builder // of every answer to a client
	other     strings.Builder // errors without any text of a prompt or an answer
	refusals  strings.Builder // messages of providers that refused a request
	operators strings.Builder // answers of the operators' API and complaints of the commands
}

// hear keeps an answer's headers, and its body where it is an error. Of a stream
// that broke off, that is its last event.
func (o *told) hear(r reply, errors *strings.Builder) {
	_ = r.header.Write(&o.headers)
	switch at := strings.Index(r.body, `data: {"error":`); {
	case r.status >= 400:
		errors.WriteString(r.body + "\n")
	case at >= 0:
		errors.WriteString(r.body[at:])
	}
}

// refused takes the answer apart that a client gets when a provider refuses its
// request: only in the message may the provider's words be.
func (o *told) refused(t *testing.T, r reply) {
	t.Helper()
	var body struct {
		Error map[string]*string `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error["message"] == nil {
		t.Errorf("no error object: %s", r)
		return
	}
	o.refusals.WriteString(*body.Error["message"] + "\n")
	delete(body.Error, "message")
	rest, err := json.Marshal(body)
	if err != nil {
		t.Error(err)
	}
	r.body = string(rest)
	o.hear(r, &o.other)
}

// operator keeps what a command that failed has printed.
func (o *told) operator(_ int, p *process) {
	o.operators.WriteString(p.stdout.String() + p.stderr.String())
}
