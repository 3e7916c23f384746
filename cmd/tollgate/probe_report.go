package main

import (
	"fmt"
	"text/tabwriter"

	"tollgate/probe"
	"tollgate/usage"
)

// probed is a report as -o json prints it.
type probed struct {
	Provider         string          `json:"provider"`
	URL              string          `json:"url"`
	Credential       string          `json:"credential"`
	Model            string          `json:"model"`
	Conforms         bool            `json:"conforms"`
	Stopped          string          `json:"stopped,omitempty"`
	Checks           []probe.Finding `json:"checks"`
	Requests         int             `json:"requests"`
	PromptTokens     int64           `json:"prompt_tokens"`
	CompletionTokens int64           `json:"completion_tokens"`
	CostUSD          *usage.USD      `json:"cost_usd"` // null: not known
	FirstTokenMS     int64           `json:"first_token_ms"`
	// Stanza is YAML for config.yaml.
	Stanza string `json:"stanza"`
}

// print writes what was found to standard output.
func (p *probing) print(o probe.Options, r probe.Report) error {
	stanza, err := r.Stanza()
	if err != nil {
		return err
	}
	if p.streamUsage != "" {
		stanza += "stream_usage: " + r.Observed.StreamUsage.String() + "\n"
	}
	if p.output == outputJSON {
		return p.printJSON(o, r, stanza)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row(w, "CHECK", "EXPECTED", "SEEN", "VERDICT", "REMARK")
	for _, f := range r.Findings {
		row(w, f.Name, f.Expected, f.Seen, f.Verdict, f.Remark)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := p.printSummary(o, r); err != nil {
		return err
	}
	seen := "What was seen"
	if r.Stopped != "" {
		seen = "What was seen so far"
	}
	_, err = fmt.Fprintf(p.stdout, "\n%s, to paste under providers.%s:\n\n%s", seen, p.provider, stanza)
	return err
}

func (p *probing) printSummary(o probe.Options, r probe.Report) error {
	c := o.Candidate
	cost := "at a cost that is not known"
	if r.Priced {
		cost = "for $" + r.Spent.Cost.String()
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s, %s: %d as documented, %d deviate, %d undecided, %d not tried; %d requests, %d tokens, %s\n",
		c.Provider.Name, c.Model, r.Count(probe.AsDocumented), r.Count(probe.Deviates), r.Count(probe.Undecided), r.Count(probe.NotTried),
		r.Spent.Requests, r.Spent.Prompt+r.Spent.Completion, cost)
	return err
}

func (p *probing) printJSON(o probe.Options, r probe.Report, stanza string) error {
	c := o.Candidate
	answer := probed{
		Provider: c.Provider.Name, URL: c.Endpoint.URL, Credential: c.Endpoint.Credential, Model: c.Model,
		Conforms: r.Conforms(), Stopped: r.Stopped, Checks: r.Findings,
		Requests: r.Spent.Requests, PromptTokens: r.Spent.Prompt, CompletionTokens: r.Spent.Completion,
		FirstTokenMS: r.FirstToken.Median.Milliseconds(), Stanza: stanza,
	}
	if r.Priced {
		cost := usage.USD(r.Spent.Cost)
		answer.CostUSD = &cost
	}
	page := operator{stdout: p.stdout, output: outputJSON}
	return page.print(answer, nil)
}
