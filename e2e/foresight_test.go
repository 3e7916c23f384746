package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/google/go-cmp/cmp"
)

// sent sends the request until everyone has answered whose turn it may be.
func (c *foresight) sent(t *testing.T, e explained, one foretold) {
	t.Helper()
	const most = 9
	first := e.able()
	first = slices.DeleteFunc(first, func(o outlook) bool { return o.Tier != first[0].Tier })
	answered := map[string]bool{}
	for n := 0; n < most && len(answered) < len(first); n++ {
		r := c.client.send(t.Context(), wish{secret: c.keys[one.key].Secret, body: one.bytes()})
		if r.status != http.StatusOK || r.err != nil {
			t.Fatalf("it was not to be refused: %s", r)
		}
		asked := c.attempts(t, one.prompt())
		if len(asked) != n+1 {
			t.Fatalf("%d requests were sent upstream for %d", len(asked), n+1)
		}
		answered[c.answered(t, e, one, r, asked[n])] = true
	}
	if len(answered) < len(first) && one.model == "anyone" { // by load it may be one's turn every time
		t.Errorf("%v have answered, foretold was %s", answered, e.outcome())
	}
}

// answered holds an answer against the explanation, and returns who gave it.
func (c *foresight) answered(t *testing.T, e explained, one foretold, r reply, asked simulator.Entry) string {
	t.Helper()
	bill := c.record(t, r.header.Get("X-Request-Id"))
	at := slices.IndexFunc(e.Candidates, func(o outlook) bool { return o.Provider == bill.Provider })
	if at < 0 || e.Candidates[at].Excluded != nil || e.Candidates[at].Tier != e.able()[0].Tier {
		t.Fatalf("%s has answered, foretold was %s", bill.Provider, e.outcome())
	}
	o := e.Candidates[at]
	if got, want := r.header.Get("X-Tollgate-Dropped"), strings.Join(o.Dropped, ", "); got != want {
		t.Errorf("x-tollgate-dropped is %q, foretold was %q", got, want)
	}
	if diff := cmp.Diff(o.sent(t, one), members(t, asked.Body)); diff != "" {
		t.Errorf("%s was sent (- as foretold, + in truth):\n%s", o.Provider, diff)
	}
	if !e.Charge.holds(bill.Charge) || !o.Cost.holds(bill.Cost) || e.Charge == nil && bill.Charge != 0 {
		t.Errorf("charged %d at a cost of %d, foretold were %+v and %+v", bill.Charge, bill.Cost, e.Charge, o.Cost)
	}
	if one.most > 0 && (e.Charge == nil || e.Charge.Most == nil || bill.CompletionTokens > one.most) {
		t.Errorf("an answer of %d tokens, the request allows %d: foretold was a charge of %+v", bill.CompletionTokens, one.most, e.Charge)
	}
	if e.Charge != nil && (e.Charge.Least <= 0 || one.most == 0 && e.Charge.Most != nil) {
		t.Errorf("a charge of %+v was foretold for a request that allows any length", e.Charge)
	}
	return bill.Provider
}

// sent is the client's body as it is foretold that this candidate gets it,
// without what asks for nothing and without stream_options.
func (o outlook) sent(t *testing.T, one foretold) map[string]any {
	t.Helper()
	body := members(t, one.bytes())
	body["model"] = o.Model
	for _, name := range one.silent {
		delete(body, name)
	}
	for _, name := range o.Dropped {
		if nested, ok := strings.CutPrefix(name, "messages."); ok {
			eachMessage(body, func(m map[string]any) { delete(m, nested) })
		} else if _, there := body[name]; !there {
			t.Errorf("%s would be dropped, and is not there", name)
		} else {
			delete(body, name)
		}
	}
	for _, how := range o.Adapted {
		switch how {
		case "max_completion_tokens as max_tokens":
			body["max_tokens"] = json.Number(strconv.FormatInt(one.most, 10))
			delete(body, "max_completion_tokens")
		case "stop as a string":
			all, _ := body["stop"].([]any)
			body["stop"] = all[0]
		case "role developer as system":
			eachMessage(body, func(m map[string]any) {
				if m["role"] == "developer" {
					m["role"] = "system"
				}
			})
		default:
			t.Errorf("what does %q mean?", how)
		}
	}
	return body
}

// members are a body's, but for stream_options, which every provider has a dialect of.
func members(t *testing.T, body string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber() // 1.50 is not 1.5
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	delete(all, "stream_options")
	return all
}

func eachMessage(body map[string]any, change func(map[string]any)) {
	messages, _ := body["messages"].([]any)
	for _, m := range messages {
		if m, ok := m.(map[string]any); ok {
			change(m)
		}
	}
}

// refused holds an error against the explanation.
func (c *foresight) refused(t *testing.T, e explained, r reply) {
	t.Helper()
	if e.Refusal == nil {
		t.Fatalf("neither sent nor refused: %+v", e)
	}
	var told struct {
		Error struct {
			Message, Type string
			Param, Code   *string
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.body), &told); err != nil || r.err != nil {
		t.Fatalf("got %s", r)
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	got := toldClient{Status: r.status, Type: told.Error.Type, Code: text(told.Error.Code), Param: text(told.Error.Param), Message: told.Error.Message}
	want := *e.Refusal
	c.checkRetryAfter(t, want.RetryAfterMS, r.header)
	want.RetryAfterMS = 0
	// Time goes on between the two: the moment to come back is the same.
	got.Message, want.Message = timeless(got.Message), timeless(want.Message)
	if got != want {
		t.Errorf("the client is told %+v\nforetold was      %+v", got, want)
	}
}

// timeless is a message without how long to wait.
func timeless(message string) string {
	return regexp.MustCompile(`try again in [0-9.ms]+$`).ReplaceAllString(message, "try again in ...")
}

// checkRetryAfter holds the headers against the milliseconds that were foretold, up to 10 seconds ago.
func (c *foresight) checkRetryAfter(t *testing.T, foretold int64, h http.Header) {
	t.Helper()
	const ago = 10_000
	if foretold == 0 {
		if got := h.Get("Retry-After") + h.Get("Retry-After-Ms"); got != "" {
			t.Errorf("retry-after is %q, none was foretold", got)
		}
		return
	}
	ms, err := strconv.ParseInt(h.Get("Retry-After-Ms"), 10, 64)
	seconds, err2 := strconv.ParseInt(h.Get("Retry-After"), 10, 64)
	if err != nil || err2 != nil || ms > foretold || ms < foretold-ago || seconds != (ms+999)/1000 {
		t.Errorf("retry-after is %q and %q, %d ms were foretold", h.Get("Retry-After"), h.Get("Retry-After-Ms"), foretold)
	}
}
