package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"tollgate/simulator"
)

// TestCutAnywhere lets each provider's stream break off at offsets all over its
// body. No client can take what it has for the whole: it has an error, by status
// as long as nothing was said, by event from then on, and each has one record.
func TestCutAnywhere(t *testing.T) {
	alone(t)
	offsets := 40
	if proving() {
		offsets = 500
	}
	f := newFleet(t, environment{"REQUESTS_PER_MINUTE": "0"})
	secret := f.issue(t).Secret
	figures := newTable("provider", "body", "cuts", "502", "another provider", "error event", "whole")
	// In turn: a cut is for the next request that its provider is asked.
	for _, p := range simulator.Providers() {
		c := &cuts{fleet: f, provider: p, model: modelOf(p), secret: secret, client: f.bare(t), ends: map[string]int{}, wants: map[string]string{}}
		c.learn(t)
		c.everywhere(t, offsets)
		c.checkRecords(t)
		c.wrong.fail(t)
		figures.add(p, fmt.Sprint(len(c.upstream), " bytes"), offsets, c.ends["refused"], c.ends["failed over"], c.ends["interrupted"], c.ends["whole"])
	}
	figures.log(t)
}

// cuts are the cuts of one provider's streams, one after the other.
type cuts struct {
	*fleet
	provider simulator.Provider
	model    string
	secret   string
	client   bare

	upstream string // what the provider sends to the gateway
	content  int    // how much of that the first event with content ends at

	ends  map[string]int
	wants map[string]string // by request id: the end reason of its record
	wrong complaints
}

const cutPrompt = "Please break off"

// learn asks the provider for the stream as it sends it to the gateway.
func (c *cuts) learn(t *testing.T) {
	t.Helper()
	options := ""
	if c.provider == simulator.StarMagic {
		options = `,"stream_options":{"include_usage":true}`
	}
	c.upstream = c.askDirectly(t, c.provider, strings.TrimSuffix(inStream(question(c.model, cutPrompt)), "}")+options+"}")
	for _, event := range strings.SplitAfter(c.upstream, "\n\n") {
		c.content += len(event)
		if strings.Contains(event, `"content":`) && !strings.Contains(event, `"content":""`) {
			break
		}
	}
	if c.content == 0 || c.content > len(c.upstream)/2 || !strings.HasSuffix(c.upstream, "data: [DONE]\n\n") {
		t.Fatalf("%s sends an unexpected stream:\n%s", c.provider, c.upstream)
	}
}

// everywhere cuts at so many offsets, spread evenly with a little chance, the
// first and the last possible ones among them.
func (c *cuts) everywhere(t *testing.T, offsets int) {
	t.Helper()
	random := rand.New(rand.NewPCG(11, uint64(len(c.upstream))))
	for n := range offsets {
		from, to := len(c.upstream)*n/(offsets-1), len(c.upstream)*(n+1)/(offsets-1)
		at := from
		if 0 < n && n < offsets-1 {
			at += random.IntN(max(1, to-from))
		}
		model := c.model
		if c.provider == simulator.TheTurbo && n%2 == 1 {
			model = "in-turn" // TheTurbo, and StarMagic where it fails
		}
		c.cut(t, model, at, n%4 == 2)
		for range 2 { // or its breaker would open
			if r := c.ask(t, c.model, false); r.err != nil || r.status != http.StatusOK {
				c.wrong.add("an answer that nobody cut: %s", r)
			}
		}
	}
}

// cut asks for a stream that breaks off behind so many bytes.
func (c *cuts) cut(t *testing.T, model string, at int, reset bool) {
	t.Helper()
	fault := simulator.Fault{Kind: simulator.Cut, Provider: c.provider, AtByte: int64(at), Reset: reset, Times: 1}
	c.inject(t, fault)
	r := c.ask(t, model, true)
	end, reason := c.endOf(r, model, at)
	switch {
	case end == "":
		c.wrong.add("%s, cut behind %d of %d bytes (reset: %v): %s", model, at, len(c.upstream), reset, r)
	case reset: // what is on its way when a connection is reset may be lost
	case end != c.endAt(model, at):
		c.wrong.add("%s, cut behind %d of %d bytes, should have been %s: %s", model, at, len(c.upstream), c.endAt(model, at), r)
	}
	c.ends[end]++
	c.wants[r.header.Get("X-Request-Id")] = reason
}

// endAt is what must become of an answer that is cut there.
func (c *cuts) endAt(model string, at int) string {
	switch {
	case at == len(c.upstream):
		return "whole"
	case at >= c.content:
		return "interrupted"
	case model == "in-turn":
		return "failed over"
	}
	return "refused"
}

// endOf is what did become of it, and its record's end reason. Anything that
// could be taken for something else has no name.
func (c *cuts) endOf(r reply, model string, at int) (end, reason string) {
	const errorEvent = `data: {"error":{"message":`
	text, event, broken := strings.Cut(r.body, errorEvent)
	isWhole := r.err == nil && strings.HasSuffix(r.body, "data: [DONE]\n\n") && !broken
	switch {
	case r.status == http.StatusBadGateway && r.code() == "upstream_error" && r.err == nil:
		return "refused", "upstream_failed"
	case r.status != http.StatusOK:
		return "", ""
	case isWhole && at == len(c.upstream) && c.forwarded(at) == r.body:
		return "whole", "completed"
	case isWhole && model == "in-turn":
		return "failed over", "completed"
	case !broken || !errors.Is(r.err, io.ErrUnexpectedEOF) || strings.Contains(r.body, "[DONE]"):
		return "", ""
	case strings.Count(event, "data:") > 0 || !strings.HasSuffix(event, `,"type":"server_error","param":null,"code":"upstream_interrupted"}}`+"\n\n"):
		return "", ""
	case text == "" || !strings.HasPrefix(c.forwarded(at), text):
		return "", ""
	}
	return "interrupted", "upstream_cut"
}

// forwarded is what a client is to see of so many bytes: whole events, without
// the usage that only the gateway asked for.
func (c *cuts) forwarded(at int) string {
	end := strings.LastIndex(c.upstream[:at], "\n\n")
	if end < 0 {
		return ""
	}
	text := c.upstream[:end+len("\n\n")]
	if usage := strings.Index(text, `"choices":[],`); usage >= 0 {
		from := strings.LastIndex(text[:usage], "data: ")
		to := usage + strings.Index(text[usage:], "\n\n") + len("\n\n")
		text = text[:from] + text[to:]
	}
	return text
}

func (c *cuts) ask(t *testing.T, model string, stream bool) reply {
	body := question(model, cutPrompt)
	if stream {
		body = inStream(body)
	}
	return c.client.send(t.Context(), wish{secret: c.secret, body: body})
}

// checkRecords holds each request to its one bill.
func (c *cuts) checkRecords(t *testing.T) {
	t.Helper()
	var ids []string
	for id := range c.wants {
		c.accessLine(t, id)
		ids = append(ids, id)
	}
	for id, found := range c.records(t, ids) {
		bills := settles(found)
		if len(bills) != 1 || bills[0].EndReason != c.wants[id] {
			c.wrong.add("the records of %s are %+v, want one bill that ended as %s", id, found, c.wants[id])
			continue
		}
		r := bills[0]
		if want := tariffs()[r.Model].charge(r.figures()); r.Charge != want || r.EndReason == "upstream_failed" && want != 0 {
			c.wrong.add("charged %d nano-dollars: %+v", r.Charge, r)
		}
	}
}
