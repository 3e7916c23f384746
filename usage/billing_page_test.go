package usage

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of docs/billing.md stands between these marks.
const (
	tableBegin = "<!-- the charging table, as usage/charge.go has it: begin -->\n"
	tableEnd   = "<!-- end -->\n"
)

// Operators and tenants read the policy of the bill in docs/billing.md: it must be what
// the code does.
func TestPageShowsTheChargingTable(t *testing.T) {
	page, err := os.ReadFile("../docs/billing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(page), tableBegin)
	shown, _, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatal("docs/billing.md lacks the marks of the charging table")
	}
	if diff := cmp.Diff(pageTable(), shown); diff != "" {
		t.Errorf("docs/billing.md differs from the charging table (-code +page):\n%s\nthe table is:\n%s", diff, pageTable())
	}
}

// pageTable is the charging table in Markdown.
func pageTable() string {
	var b strings.Builder
	b.WriteString("| How it ended | The provider reported | Content delivered | The tenant pays | It costs us | Source |\n|---|---|---|---|---|---|\n")
	for _, r := range chargingTable() {
		b.WriteString("| " + strings.Join([]string{
			endedInWords(r.ends), reportInWords(r.report), [...]string{"-", "yes", "no"}[r.content],
			basisInWords(r.pays), basisInWords(r.costs), "`" + string(r.source) + "`",
		}, " | ") + " |\n")
	}
	return b.String()
}

// endedInWords names the end reasons of a row. That they are all of them, and each in
// its place, is asked of endingOf.
func endedInWords(ends ending) string {
	switch ends {
	case notTaken:
		return "attempt: cannot have been worked on"
	case perhapsTaken:
		return "attempt: may have been worked on"
	}
	var names []string
	for _, end := range endReasons() {
		if endingOf(end)&ends != 0 {
			names = append(names, "`"+string(end)+"`")
		}
	}
	return strings.Join(names, ", ")
}

func endReasons() []EndReason {
	return []EndReason{
		EndCompleted, EndClientGone, EndUpstreamCut, EndUpstreamTimeout, EndUpstreamFailed, EndRefused, EndNoOutput, EndShutdown, EndKeyRevoked, EndRecovered,
	}
}

func reportInWords(r report) string {
	return [...]string{unread: "-", missing: "nothing", zeros: "zeros", sane: "figures", wrong: "impossible figures"}[r]
}

func basisInWords(b basis) string {
	return [...]string{nothing: "nothing", asReported: "what was reported", asCounted: "our count", worstCase: "the worst case"}[b]
}
