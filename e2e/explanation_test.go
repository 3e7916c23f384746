package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// explained is an explanation in the form that scripts rely on.
type explained struct {
	Sent       bool         `json:"sent"`
	Refusal    *toldClient  `json:"refusal"`
	Stages     []stage      `json:"stages"`
	Limits     []limitLeft  `json:"limits"`
	Candidates []outlook    `json:"candidates"`
	Charge     *amountRange `json:"charge"`
}

// toldClient is an error as a client has it.
type toldClient struct {
	Status       int    `json:"status"`
	Type         string `json:"type"`
	Code         string `json:"code"`
	Param        string `json:"param"`
	Message      string `json:"message"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

type stage struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

type limitLeft struct {
	Name      string `json:"name"`
	Limit     int    `json:"limit"`
	Remaining int    `json:"remaining"`
}

// outlook is one candidate of an explanation.
type outlook struct {
	Provider string       `json:"provider"`
	Model    string       `json:"model"`
	Tier     int          `json:"tier"`
	Share    float64      `json:"share"`
	Excluded *exclusion   `json:"excluded"`
	Dropped  []string     `json:"dropped"`
	Adapted  []string     `json:"adapted"`
	Cost     *amountRange `json:"cost"`
}

type exclusion struct {
	Provider string `json:"provider"`
	Param    string `json:"param"`
	Why      string `json:"why"`
}

// amountRange is in nano-dollars; no most: nothing bounds it.
type amountRange struct {
	Least int64  `json:"least_nanousd"`
	Most  *int64 `json:"most_nanousd"`
}

// holds reports whether the amount is one that was foretold.
func (r *amountRange) holds(amount int64) bool {
	return r == nil || r.Least <= amount && (r.Most == nil || amount <= *r.Most)
}

// explain asks what would become of a body with this key.
func (o operators) explain(t *testing.T, key, body string) explained {
	t.Helper()
	r := o.order(t.Context(), http.MethodPost, "/explain?key="+key, body)
	var e explained
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != http.StatusOK || r.err != nil {
		t.Fatalf("explain answers %s", r)
	}
	return e
}

// outcome is an explanation in a line: who would be asked, by tiers and then by
// name, and with what changes; or how the client would be refused, and by which stage.
func (e explained) outcome() string {
	if !e.Sent {
		at := slices.IndexFunc(e.Stages, func(s stage) bool { return s.Result == "refused" })
		if at < 0 || e.Refusal == nil {
			return "refused by nobody"
		}
		return strings.TrimSpace(fmt.Sprintf("%s: %d %s %s", e.Stages[at].Name, e.Refusal.Status, e.Refusal.Code, e.Refusal.Param))
	}
	able := e.able()
	slices.SortStableFunc(able, func(a, b outlook) int { // whose turn it is within a tier is a matter of the moment
		if a.Tier != b.Tier {
			return a.Tier - b.Tier
		}
		return strings.Compare(a.Provider, b.Provider)
	})
	var who []string
	for _, o := range able {
		who = append(who, o.String())
	}
	return strings.Join(who, ", ")
}

// able are the candidates who may be asked.
func (e explained) able() []outlook {
	return slices.DeleteFunc(slices.Clone(e.Candidates), func(o outlook) bool { return o.Excluded != nil })
}

// checkOrder holds the candidates against the order in which they would be asked.
func (e explained) checkOrder(t *testing.T) {
	t.Helper()
	shares := 0.0
	for i, o := range e.Candidates {
		shares += o.Share
		if i == 0 {
			continue
		}
		switch last := e.Candidates[i-1]; {
		case last.Excluded != nil && o.Excluded == nil, last.Excluded == nil && o.Excluded == nil && last.Tier > o.Tier,
			o.Share > 0 && (last.Tier != o.Tier || last.Share < o.Share), o.Share > 0 && o.Excluded != nil:
			t.Errorf("%s stands after %s, with shares of %.2f and %.2f", o.Provider, last.Provider, o.Share, last.Share)
		}
	}
	if shares < 0.999 || shares > 1.001 {
		t.Errorf("somebody is asked first with a chance of %.3f", shares)
	}
}

// String names the candidate and what would be changed for it.
func (o outlook) String() string {
	text := o.Provider
	for _, field := range o.Dropped {
		text += " -" + field
	}
	for _, what := range o.Adapted {
		text += " (" + what + ")"
	}
	return text
}
