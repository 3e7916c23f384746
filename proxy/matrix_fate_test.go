package proxy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollgate/simulator"
	"tollgate/upstream"
	"tollgate/usage"
)

// promptly is how soon an upstream request ends that nobody wants any more. The
// gateway needs a hundredth of it; the rest is for busy machines, where no more is
// told than that it does not wait for a time limit of the default ones.
func promptly() time.Duration {
	if proving() {
		return 2 * time.Second
	}
	return patience / 2
}

// fate says in one line how the exchange went for everybody: each attempt as its
// breaker was told of it, with what became of its connection; what the client
// saw, or the status in the log when it had left; the bill's end reason and source.
func (m *matrix) fate() string {
	var attempts []string
	for _, a := range m.attempts() {
		attempts = append(attempts, a.outcome+" "+m.connectionOf(a.provider))
	}
	bill := m.bills()[0]
	return fmt.Sprintf("%s | %s | %s %s", strings.Join(attempts, ", "), m.seen(), bill.EndReason, bill.Source)
}

// settle waits until the exchange has its fate, and no provider is answering any
// more: connections close a moment later than answers end.
func (m *matrix) settle(want string) {
	m.t.Helper()
	for deadline := time.Now().Add(promptly()); m.fate() != want || m.stands[0].busy() || m.stands[1].busy(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("\n got: %s\nwant: %s\nproviders answering: %t, %t\n%s", m.fate(), want, m.stands[0].busy(), m.stands[1].busy(), m.log)
		}
	}
}

// stand is the stage's provider of that name.
func (m *matrix) stand(provider string) *stand {
	if provider == "first" {
		return m.stands[0]
	}
	return m.stands[1]
}

// connectionOf says what became of the first connection to a provider.
func (m *matrix) connectionOf(provider string) string {
	s := m.stand(provider)
	switch truth := s.Truth(); {
	case len(truth) == 0:
		return "never asked"
	case truth[0].ClientGone:
		return "cancelled"
	case s.hasCut():
		return "cut"
	case s.open() > 0, s.dawdled():
		return "kept"
	}
	return "closed"
}

// seen is the answer as the client saw it.
func (m *matrix) seen() string {
	c := m.client
	if !c.left.IsZero() {
		return fmt.Sprintf("left %d", m.access()[0].Status)
	}
	body, status := c.got.String(), c.response.StatusCode
	if status != 200 && c.end == nil {
		return fmt.Sprintf("%d %s", status, codeOf(body))
	}
	if !strings.HasPrefix(c.response.Header.Get("Content-Type"), "text/event-stream") {
		if c.end == nil && json.Valid([]byte(body)) {
			return "200 whole"
		}
		return fmt.Sprintf("%d, the body's end %v, %q", status, c.end, tail(body))
	}
	events := eventsOf(body)
	failures, last := 0, ""
	for _, last = range events {
		if strings.HasPrefix(last, `{"error":`) {
			failures++
		}
	}
	switch {
	case c.end == nil && failures == 0 && last == "[DONE]":
		return "200 whole"
	case c.end != nil && failures == 1 && !slices.Contains(events, "[DONE]"):
		return "200 cut " + codeOf(last)
	}
	return fmt.Sprintf("%d, the stream's end %v, %d error events, %q", status, c.end, failures, tail(body))
}

// codeOf is the code of an error object that has all four fields.
func codeOf(body string) string {
	var document struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		return "no error object: " + body
	}
	for _, field := range []string{"message", "type", "param", "code"} {
		if _, ok := document.Error[field]; !ok {
			return "an error without " + field + ": " + body
		}
	}
	return fmt.Sprint(document.Error["code"])
}

// check holds the exchange against what must be true of every one.
func (m *matrix) check() {
	m.t.Helper()
	bills, lines := m.bills(), m.access()
	if len(bills) != 1 || len(lines) != 1 {
		m.t.Fatalf("%d usage records and %d access lines, want 1 of each: %+v %+v", len(bills), len(lines), bills, lines)
	}
	if lines[0].EndReason != string(bills[0].EndReason) || lines[0].RequestID != bills[0].RequestID {
		m.t.Errorf("the access line %+v is not that of the record %+v", lines[0], bills[0])
	}
	if c := m.client; c.response != nil && (lines[0].Status != c.response.StatusCode || bills[0].RequestID != c.response.Header.Get("X-Request-Id")) {
		m.t.Errorf("the client has status %d and request id %s, the log %+v", c.response.StatusCode, c.response.Header.Get("X-Request-Id"), lines[0])
	}
	if code := lines[0].ErrorCode; m.client.left.IsZero() && m.seen() != "200 whole" && !strings.HasSuffix(m.seen(), " "+code) {
		m.t.Errorf("the client saw %s, the log says %q", m.seen(), code)
	}
	m.checkAttempts(bills[0])
	m.checkFigures(bills[0])
	if m.client.left.IsZero() && m.client.response.StatusCode == 200 {
		m.checkLetters(bills[0])
	}
}

// checkAttempts holds the breakers' reports against what the providers saw.
func (m *matrix) checkAttempts(bill usage.Record) {
	m.t.Helper()
	told := m.attempts()
	for i, s := range m.stands {
		name := []string{"first", "second"}[i]
		truth := s.Truth()
		reports := 0
		for _, a := range told {
			if a.provider == name {
				reports++
			}
		}
		if reports != len(truth) {
			m.t.Errorf("the %s provider was asked %d times, its breaker was told %d times", name, len(truth), reports)
		}
		for _, e := range truth {
			for _, end := range []time.Time{m.client.left, m.halted} {
				if late := e.Gone.Sub(end) - m.drainTime; e.ClientGone && !end.IsZero() && !m.untimed && late > promptly() {
					m.t.Errorf("the %s provider was cancelled %s late", name, late)
				}
			}
		}
	}
	m.checkNotes(told, bill)
	last := told[len(told)-1]
	if bill.Provider != last.provider || bill.Attempt != len(told)-1 || bill.Stream != m.stream || bill.Kind != usage.KindSettle {
		m.t.Errorf("the record speaks of attempt %d at %q, want %d at %q: %+v", bill.Attempt, bill.Provider, len(told)-1, last.provider, bill)
	}
}

// checkNotes holds what is on record beside the bill against what was seen: an intent
// for each attempt, a record for each that failed, and how far a stream had come.
func (m *matrix) checkNotes(told []attempted, bill usage.Record) {
	m.t.Helper()
	memory := m.records.(*memoryRecorder)
	intents, checkpoints := memory.noted(usage.KindIntent), memory.noted(usage.KindCheckpoint)
	failures, _ := m.recorded()
	var failed []attempted
	for i, a := range told {
		if i >= len(intents) || intents[i].Provider != a.provider || intents[i].Attempt != i || intents[i].RequestID != bill.RequestID {
			m.t.Fatalf("the intents %+v are not those of %+v", intents, told)
		}
		switch a.outcome {
		case "ok", "client_gone", "abandoned":
		default:
			failed = append(failed, a)
		}
	}
	if len(intents) != len(told) || len(failures) != len(failed) {
		m.t.Fatalf("%d intents and %d failures are on record of %+v", len(intents), len(failures), told)
	}
	for i, f := range failures {
		if f.Provider != failed[i].provider || f.Attempt != i || f.Charge != 0 || f.Tokens != (usage.Tokens{}) {
			m.t.Errorf("recorded of %+v: %+v", failed[i], f)
		}
	}
	for _, c := range checkpoints {
		if c.Attempt != bill.Attempt || c.Provider != bill.Provider || c.Delivered > c.Completion || c.Charge != 0 {
			m.t.Errorf("a checkpoint of the bill %+v: %+v", bill, c)
		}
	}
}

// checkFigures holds the bill against the truth. The provider's figures are
// its own. What Tollgate counted is what the client was given, for which a client
// that left has no witness but the provider: no less than it read, no more than
// was sent.
func (m *matrix) checkFigures(bill usage.Record) {
	m.t.Helper()
	e := m.stand(bill.Provider).Truth()[0]
	least, most := m.given(e)
	charged := bill.EndReason == usage.EndCompleted || bill.EndReason == usage.EndClientGone || least > 0
	var want usage.Tokens
	switch {
	case !charged:
	case bill.Source == usage.SourceUpstream:
		want = usage.Tokens{Prompt: e.Usage.Prompt, Cached: e.Usage.Cached, Completion: e.Usage.Completion, Reasoning: e.Usage.Reasoning}
	case bill.EndReason == usage.EndCompleted:
		want = usage.Tokens{Prompt: e.Usage.Prompt, Completion: e.TokensWritten}
	default:
		want = usage.Tokens{Prompt: e.Usage.Prompt, Completion: min(max(bill.Completion, least), most)}
	}
	charge := usage.NanoUSD(1000*want.Prompt + 2000*want.Completion)
	if bill.Tokens != want || bill.Charge != charge {
		m.t.Errorf("billed %+v for %s, want %+v for %s; the client read %d tokens, the truth is %+v", bill.Tokens, bill.Charge, want, charge, least, e)
	}
	most = min(most, bill.Completion)
	switch {
	case bill.EndReason == usage.EndCompleted:
		least, most = 0, 0
	case m.holds != nil && !m.client.left.IsZero() && m.fault.Kind != simulator.GiantEvent: // what came later nobody heard
		most = min(most, int64(max(0, m.holds.writes-1)))
	}
	if bill.Delivered < least || bill.Delivered > most {
		m.t.Errorf("delivered_tokens is %d, want %d to %d", bill.Delivered, least, most)
	}
}

// given is how many tokens of text the client was given.
func (m *matrix) given(e simulator.Entry) (least, most int64) {
	m.t.Helper()
	read, giant := spoken(m.client.got.String()), m.fault.Kind == simulator.GiantEvent
	// What was on its way when the end came may be lost.
	complete := m.client.left.IsZero() && read > 0 && m.gap == 0 && !giant
	if read > e.TokensWritten && !giant || complete && read != e.TokensWritten {
		m.t.Errorf("the client has %d tokens of %d that the provider sent", read, e.TokensWritten)
	}
	least, most = read, read
	if giant { // whose count is taken from its beginning
		least, most = read-read/100, read+read/100
	}
	switch {
	case m.client.left.IsZero():
	case giant: // the truth knows whole events only
		most = e.Usage.Completion
	default:
		most = e.TokensWritten
	}
	return least, most
}

// probe asks once more. A connection that was kept is used again, on both sides;
// any other is closed by now.
func (m *matrix) probe() {
	m.t.Helper()
	m.gateway.background.Wait() // the rests of answers are read when those have ended
	kept := m.connectionOf("first") == "kept"
	m.stands[0].Behave(simulator.Behaviour{Text: matrixText(matrixWords)})
	m.forget()
	c := m.client
	if c.end != nil || !c.left.IsZero() || c.response.Close {
		if !c.closed() {
			m.t.Error("the client's connection stays open")
		}
		c = newCaller(m.t, m.address)
	}
	c.response = nil
	c.got.Reset()
	c.send(m.question("any", true))
	c.all()
	if body := c.got.String(); c.response.StatusCode != 200 || c.end != nil || !strings.HasSuffix(body, "[DONE]\n\n") {
		m.t.Errorf("the next request: %d %v %s", c.response.StatusCode, c.end, tail(body))
	}
	asked := m.stands[0].transfers()
	if len(asked) != 2 {
		m.t.Fatalf("the first provider was asked %d times, the second time by the next request", len(asked))
	}
	m.await("one connection to the first provider", func() bool { return m.stands[0].open() <= 1 })
	if reused := asked[0].from == asked[1].from; reused != kept && !m.stands[0].dawdled() {
		m.t.Errorf("the next request used the same connection: %t, want %t", reused, kept)
	}
}

// forget makes the gateway forget what it knows of its providers: a first one that
// has failed would be left alone.
func (m *matrix) forget() {
	m.t.Helper()
	table, err := upstream.NewTable(rigUpstreams(m.upstreams), upstream.TableOptions{})
	must(m.t, err)
	m.gateway.Follow(Plan{Table: table, Prices: m.gateway.plan.Load().Prices})
}
