package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// printReport writes the table, with all that is needed to judge it.
func printReport(out io.Writer, m machine, o options, done []*result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Machine: %s.\n", m)
	fmt.Fprintf(&b, "Disk: %s.\n", m.disk)
	fmt.Fprintf(&b, "Date: %s. %s, nginx %s, Tollgate %s.\n", m.date.Format(time.DateOnly), runtime.Version(), m.nginx, m.tollgate)
	fmt.Fprintf(&b, "Rounds: %d of %s each; figures are medians over the rounds, ratios are of the same round.\n\n", o.rounds, o.duration)
	for _, part := range []string{table(done), journalPart(m, o, done)} {
		if part != "" {
			b.WriteString(part + "\n")
		}
	}
	b.WriteString(busy(done))
	var recorded int64
	for _, r := range done {
		recorded += r.recorded
	}
	fmt.Fprintf(&b, "Ledger: Tollgate served %d requests and has as many records.\n", recorded)
	if o.scale == small() {
		b.WriteString("This was a quick run: its figures mean nothing.\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func table(done []*result) string {
	rows := [][]string{{"scenario", "unit", "nginx", "Tollgate", "ratio (min..max)", "goal", "met"}}
	for _, r := range done {
		if r.scenario.relaxed {
			continue // it has a table of its own
		}
		for n, row := range r.scenario.rows {
			c := r.compare(n)
			rows = append(rows, []string{
				row.what, row.unit,
				fmt.Sprintf("%.*f", row.digits, c.nginx),
				fmt.Sprintf("%.*f", row.digits, c.tollgate),
				c.ratio.text(2),
				row.goal.text(), r.verdict(row.goal, c),
			})
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return markdown(rows)
}

// text is the median, the least and the greatest.
func (s spread) text(digits int) string {
	if s == (spread{}) {
		return "-"
	}
	return fmt.Sprintf("%.*f (%.*f..%.*f)", digits, s.middle, digits, s.least, digits, s.most)
}

// verdict says whether a goal is reached; of none it says nothing, and "-" where
// that was not measured.
func (r *result) verdict(g goal, c compared) string {
	switch {
	case g == goal{}:
		return ""
	case g.of == overBefore && r.before == nil:
		return "-"
	case g.met(c):
		return "yes"
	}
	return "NO"
}

// text is the goal as the table shows it.
func (g goal) text() string {
	text := fmt.Sprintf("<= %g", g.most)
	switch {
	case g == goal{}:
		return ""
	case g.of == theRatio:
		return text + " x"
	case g.of == overNginx:
		return text + " over nginx"
	case g.of == overBefore:
		return text + " over before"
	}
	return text
}

// markdown aligns a table whose first row is its head; its first two columns
// are words, the others figures.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for n, cell := range row {
			widths[n] = max(widths[n], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for n, width := range widths {
		rule[n] = strings.Repeat("-", width)
		if n >= 2 {
			rule[n] = rule[n][1:] + ":"
		}
	}
	var b strings.Builder
	for _, row := range slices.Insert(slices.Clone(rows), 1, rule) {
		for n, cell := range row {
			pad := strings.Repeat(" ", widths[n]-utf8.RuneCountInString(cell))
			if n >= 2 {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// busy says how much of its core each gateway used, and whether others were busy
// too. These are judged by nginx's turns: in Tollgate's, the kernel works for
// the ledger, in threads of its own.
func busy(done []*result) string {
	var b strings.Builder
	var others []float64
	for _, r := range done {
		if t := inUse(r.tollgate); t > 0 {
			fmt.Fprintf(&b, ", %s %.0f / %.0f", r.scenario.name, 100*inUse(r.nginx), 100*t)
		}
		for _, f := range r.nginx {
			if f.inUse > 0 {
				others = append(others, f.others)
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	text := fmt.Sprintf("Of one core the gateways used, nginx / Tollgate, in percent: %s. Others used %.0f (median), %.0f (most).\n",
		strings.TrimPrefix(b.String(), ", "), 100*medianOf(others), 100*slices.Max(others))
	const quiet = 0.1
	if medianOf(others) > quiet {
		text += "THE MACHINE WAS NOT QUIET: measure again when it is.\n"
	}
	return text
}

func inUse(found []figures) float64 {
	var all []float64
	for _, f := range found {
		all = append(all, f.inUse)
	}
	return medianOf(all)
}
