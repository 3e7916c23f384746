package main

import (
	"fmt"
	"slices"
	"strings"
)

// journalPart is what was found at a steady rate, with usage.sync strict and relaxed:
// a table, and how to read it. It is empty where that was not measured.
func journalPart(m machine, o options, done []*result) string {
	at := slices.IndexFunc(done, func(r *result) bool { return r.scenario.relaxed })
	if at < 0 {
		return ""
	}
	r := done[at]
	var b strings.Builder
	fmt.Fprintf(&b, "The journal, at %d requests/s by the clock, every other one a stream; times count from when a request was due.\n", o.scale.mixed)
	b.WriteString("Relaxed and strict are usage.sync: strict over relaxed is the price of waiting for the disk. Writing the entries is in both.\n")
	if r.before != nil {
		fmt.Fprintf(&b, "Before is Tollgate %s: strict over before is all that came since.\n", m.before)
	} else {
		b.WriteString("What it adds in all shows beside a Tollgate that has none: -before COMMIT.\n")
	}
	b.WriteString("\n" + r.journalTable())
	return b.String()
}

func (r *result) journalTable() string {
	others := []struct {
		name  string
		found []figures
		over  func(compared) spread
	}{
		{"nginx", r.nginx, func(c compared) spread { return c.overNginx }},
		{"before", r.before, func(c compared) spread { return c.overBefore }},
		{"relaxed", r.relaxed, func(c compared) spread { return c.overRelaxed }},
	}
	head := []string{"journal", "unit"}
	var over []string
	for _, other := range others {
		if other.found != nil {
			head, over = append(head, other.name), append(over, "over "+other.name+" (min..max)")
		}
	}
	rows := [][]string{append(append(append(head, "strict"), over...), "goal", "met")}
	for n, row := range r.scenario.rows {
		c := r.compare(n)
		cells, over := []string{row.what, row.unit}, []string(nil)
		for _, other := range others {
			if other.found != nil {
				cells, over = append(cells, row.figure(other.found, n)), append(over, row.over(other.over(c)))
			}
		}
		cells = append(append(cells, row.figure(r.tollgate, n)), over...)
		rows = append(rows, append(cells, row.goal.text(), r.verdict(row.goal, c)))
	}
	return markdown(rows)
}

// figure is what the table shows of the nth row's figures.
func (w row) figure(found []figures, n int) string {
	values := column(found, n)
	if w.worst {
		return fmt.Sprintf("%.*f", w.digits, slices.Max(values))
	}
	return fmt.Sprintf("%.*f", w.digits, medianOf(values))
}

// over is what the table shows of a difference; between the greatest of several
// rounds there is none that means something.
func (w row) over(s spread) string {
	if w.worst {
		return "-"
	}
	return s.text(w.digits)
}
