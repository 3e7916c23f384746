package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestRecoveredRequest is a day of an operator: the gateway dies in the middle of an
// answer and is started again. What the client has of it is on the bill, and whoever
// asks for the request is told what happened. A checkpoint is due every 256 tokens, and
// every 2 s.
func TestRecoveredRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gap   time.Duration
		words int
	}{
		"a fast stream": {time.Millisecond, 400},
		"a slow stream": {100 * time.Millisecond, 32},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, nil)
			f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: c.gap})
			f.recovered(t, c.words)
		})
	}
}

// recovered lets the gateway die when a client has so many words, and looks at what
// is known of that afterwards.
func (f *fleet) recovered(t *testing.T, words int) {
	t.Helper()
	secret := f.issue(t).Secret
	id := f.severed(t, secret, words)

	f.behave(simulator.Behaviour{})
	f.start(t)
	table := f.operate(t, "request", id)
	for _, want := range []string{"settle", "recovered", "gemini-2.5-flash-lite", "starmagic"} {
		if !strings.Contains(table, want) {
			t.Errorf("tollgate request does not tell %q:\n%s", want, table)
		}
	}
	var list recordList
	f.operateJSON(t, &list, "request", id)
	if len(list.Records) != 1 {
		t.Fatalf("the records are %+v, want one", list.Records)
	}
	r := list.Records[0]
	if r.Kind != "settle" || r.EndReason != "recovered" || r.Source != "recovered" || !r.Stream || r.PromptTokens <= 0 {
		t.Errorf("the record is %+v", r)
	}
	if r.CompletionTokens < int64(words/2) || r.Charge != tariffs()[r.Model].charge(r.figures()) || r.Cost < r.Charge*8/10 {
		t.Errorf("the client had %d words, and the record is %+v", words, r)
	}
	if rows := f.call(t, secret).ownUsage(t).Rows; len(rows) != 1 || rows[0].Requests != 1 || rows[0].Estimated != 1 || nanos(t, rows[0].Charge) != r.Charge {
		t.Errorf("the tenant is told %+v, the record is %+v", rows, r)
	}
	f.stop(t)
	f.inJournal(t, id)
}

// severed asks for a stream, as curl does, and kills the gateway when there are so
// many words; it returns the request's id.
func (f *fleet) severed(t *testing.T, secret string, words int) (id string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, f.url+"/v1/chat/completions",
		strings.NewReader(inStream(question("gemini-2.5-flash-lite", "Please go on until the lights go out"))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got []byte
	for part := make([]byte, 4<<10); err == nil; {
		var n int
		n, err = response.Body.Read(part)
		got = append(got, part[:n]...)
		if !f.checked && bytes.Count(got, []byte("delta")) > words {
			f.kill(t)
		}
	}
	if bytes.Contains(got, []byte("[DONE]")) {
		t.Errorf("a stream that was killed looks whole:\n%s", got)
	}
	return response.Header.Get("X-Request-Id")
}

// inJournal looks a request up in the journal of a gateway that is stopped.
func (f *fleet) inJournal(t *testing.T, id string) {
	t.Helper()
	var found struct {
		Entries []struct {
			Sequence uint64 `json:"sequence"`
			Kind     string `json:"kind"`
			Record   record `json:"record"`
		} `json:"entries"`
	}
	f.journal(t, &found, "inspect", "--entries", "--request", id)
	kinds := make([]string, 0, len(found.Entries))
	last := uint64(0)
	for _, e := range found.Entries {
		if e.Sequence <= last || e.Record.RequestID != id || e.Record.Kind != e.Kind {
			t.Errorf("behind entry %d stands %+v", last, e)
		}
		if last = e.Sequence; len(kinds) == 0 || kinds[len(kinds)-1] != e.Kind {
			kinds = append(kinds, e.Kind)
		}
	}
	if story := strings.Join(kinds, ", "); story != "intent, checkpoint, settle" {
		t.Errorf("the journal tells %s", story)
	}
	var verified struct{}
	f.journal(t, &verified, "verify")
}
