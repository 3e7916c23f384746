package main

import (
	"fmt"
	"strings"
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
	// Stanza is YAML for config.yaml; empty: nothing was answered.
	Stanza string `json:"stanza"`
}

// print writes what was found to standard output.
func (p *probing) print(o probe.Options, r probe.Report) error {
	stanza, err := p.stanza(r)
	if err != nil {
		return err
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
	return p.printStanza(r, stanza)
}

// stanza is what was seen as YAML for config.yaml; empty: nothing was answered.
func (p *probing) stanza(r probe.Report) (string, error) {
	if !r.Learned {
		return "", nil
	}
	stanza, err := r.Stanza()
	if p.streamUsage != "" {
		stanza += "stream_usage: " + r.Observed.StreamUsage.String() + "\n"
	}
	return stanza, err
}

func (p *probing) printStanza(r probe.Report, stanza string) error {
	if stanza == "" {
		return nil
	}
	seen := "What was seen"
	if r.Stopped != "" {
		seen = "What was seen so far"
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s, to paste under providers.%s in place of its contract:\n\n%s", seen, p.provider, stanza)
	if unsaid := r.NoOption(); err == nil && len(unsaid) > 0 {
		var all []string
		for _, f := range unsaid {
			all = append(all, f.Name+" ("+f.Seen+")")
		}
		_, err = fmt.Fprintf(p.stdout, "\nno option says: %s\n", strings.Join(all, ", "))
	}
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
