package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tollgate/proxy"
	"tollgate/usage"
)

// explanation writes an explanation for a reader: the verdict first, what it is made of below.
func explanation(w io.Writer, e proxy.Explanation) {
	line(w, verdict(e))
	line(w, "")
	row(w, "STAGE", "RESULT", "DETAIL")
	for _, s := range e.Stages {
		row(w, s.Name, strings.ReplaceAll(s.Result, "_", " "), printable(s.Detail))
	}
	if e.Request != nil {
		line(w, "")
		requestRows(w, *e.Request)
	}
	if len(e.Limits) > 0 {
		line(w, "")
		limitLeftRows(w, e.Limits)
	}
	if len(e.Candidates) > 0 {
		line(w, "")
		candidateRows(w, e.Candidates)
	}
	if e.Charge != nil {
		line(w, "")
		line(w, charge(*e.Charge, e.Request))
	} else if e.Sent {
		line(w, "")
		line(w, "charge: not known: the model has no price at present")
	}
}

// line writes a line of prose, which ends the columns above it.
func line(w io.Writer, text string) { _, _ = fmt.Fprintln(w, text) } // the error comes from Flush

// printable replaces what would move a terminal's cursor or break a table: parts
// of an explanation come from the request.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// verdict is the answer in one sentence.
func verdict(e proxy.Explanation) string {
	switch {
	case e.Sent:
		return "It would be sent to " + fallback(strings.Join(firstAsked(e.Candidates), " or "), "a provider") + " first."
	case e.Refusal == nil:
		return "It would not be sent."
	}
	r := *e.Refusal
	sentence := fmt.Sprintf("It would be refused: %d %s: %s", r.Status, r.Code, printable(r.Message))
	if r.RetryAfterMS > 0 {
		sentence += " (again " + ahead(r.RetryAfterMS) + ")"
	}
	return sentence
}

// firstAsked names those who may be asked first, each once: endpoints and credentials stand in the table.
func firstAsked(candidates []proxy.CandidateOutlook) []string {
	var names []string
	for i, c := range candidates {
		name := c.Provider + " (" + c.Model + ")"
		if c.Excluded == nil && (c.Share > 0 || i == 0) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func requestRows(w io.Writer, r proxy.RequestSummary) {
	row(w, "model", printable(r.Model))
	row(w, "stream", yesNo(r.Stream))
	row(w, "body", strconv.Itoa(r.Bytes)+" bytes")
	row(w, "prompt", "about "+counted(r.PromptTokens, "token")+" of text")
	if r.MaxCompletionTokens > 0 {
		row(w, "answer", "at most "+counted(r.MaxCompletionTokens, "token"))
	} else {
		row(w, "answer", "any length: the request names no max_tokens")
	}
	if r.ReservedTokens > 0 {
		row(w, "reserve", counted(r.ReservedTokens, "token")+" of each limit of tokens")
	}
	row(w, "needs", list(r.Needs))
}

func limitLeftRows(w io.Writer, limits []proxy.LimitLeft) {
	row(w, "LIMIT", "OF", "LEFT", "ALL BACK", "ENOUGH")
	for _, l := range limits {
		back := ahead(l.ResetMS)
		if strings.HasSuffix(l.Name, "concurrent") {
			back = "" // nobody knows when requests in progress end
		}
		row(w, markShadow(l.Name, l.Shadow), l.Limit, l.Remaining, back, yesNo(!l.Refuses))
	}
}

// markShadow marks the name of a limit that is not enforced.
func markShadow(name string, shadow bool) string {
	if shadow {
		return name + " (shadow)"
	}
	return name
}

func plural(n int64) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func list(texts []string) string { return printable(strings.Join(texts, ", ")) }

func candidateRows(w io.Writer, candidates []proxy.CandidateOutlook) {
	row(w, "PROVIDER", "MODEL", "URL", "CREDENTIAL", "TIER", "SHARE", "STATE", "DROPPED", "ADAPTED", "COST $", "EXCLUDED BECAUSE")
	for _, c := range candidates {
		because, state := "", c.State
		if c.Excluded != nil {
			because = printable(c.Excluded.Why)
		} else if c.StateWhy != "" {
			state += " (" + c.StateWhy + ")"
		}
		row(w, c.Provider, c.Model, c.URL, c.Credential, c.Tier, share(c.Share), state, list(c.Dropped), list(c.Adapted), cost(c.Cost), because)
	}
}

// share is a chance in percent; a small one is not shown as none.
func share(s float64) string {
	switch {
	case s <= 0:
		return ""
	case s < 0.01:
		return "<1%"
	}
	return strconv.FormatFloat(s*100, 'f', 0, 64) + "%"
}

func cost(c *proxy.CostRange) string {
	switch {
	case c == nil:
		return ""
	case c.Most == nil:
		return c.Least.String() + " or more"
	}
	return span(c.Least, *c.Most, "")
}

func charge(c proxy.CostRange, r *proxy.RequestSummary) string {
	if c.Most == nil {
		why := "the request names no max_tokens"
		if r != nil && r.MaxCompletionTokens > 0 {
			why = "nobody counts its media beforehand"
		}
		return fmt.Sprintf("charge: at least $%s, no upper bound: %s; by %s", c.Least, why, c.Price)
	}
	return fmt.Sprintf("charge: %s, by %s", span(c.Least, *c.Most, "$"), c.Price)
}

// span is a range of amounts, or the one amount that it has.
func span(least, most usage.NanoUSD, unit string) string {
	if least == most {
		return unit + least.String()
	}
	return unit + least.String() + " to " + unit + most.String()
}

// ahead is how far off something is; 0 milliseconds: it is there.
func ahead(ms int64) string {
	if ms <= 0 {
		return "now"
	}
	return "in " + brief(time.Duration(ms)*time.Millisecond)
}
