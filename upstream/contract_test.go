package upstream

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContracts holds what the providers' pages say, read from the pages once
// more and not from the code.
func TestContracts(t *testing.T) {
	const want = `
                        starmagic  theturbo   evolink    openai
model                   yes        yes        yes        yes
messages                yes        yes        yes        yes
stream                  yes        yes        yes        yes
stream_options          yes        -          -          yes
max_tokens              yes        yes        yes        yes
max_completion_tokens   yes        -          -          yes
temperature             yes        yes        yes        yes
top_p                   yes        yes        yes        yes
top_k                   -          -          yes        -
n                       yes        yes        -          yes
stop                    yes        yes        -          yes
frequency_penalty       yes        yes        -          yes
presence_penalty        yes        yes        -          yes
seed                    yes        -          -          yes
logprobs                yes        -          -          yes
top_logprobs            yes        -          -          yes
response_format         yes        -          -          yes
tools                   yes        yes        -          yes
tool_choice             yes        yes        -          yes
reasoning_effort        yes        -          -          yes
extra_body              yes        -          -          -
logit_bias              -          -          -          yes
functions               -          -          -          yes
function_call           -          -          -          yes
audio                   -          -          -          yes
web_search_options      -          -          -          yes
other fields            -          -          -          yes
max_tokens              1..        1..        1..        any
max_completion_tokens   1..        any        any        any
temperature             0..        0..2       0..2       any
top_p                   0..1       0..1       0..1       any
top_k                   any        any        1..        any
n                       1..128     1..128     any        any
frequency_penalty       -2..2      -2..2      any        any
presence_penalty        -2..2      -2..2      any        any
seed                    ..         any        any        any
top_logprobs            0..20      any        any        any
reasoning_effort        4          any        any        any
response_format         3          any        any        any
extra_body              110        000        000        111
tools not functions     -          -          -          yes
stop sequences          any        4          any        any
stop form               as_is      string     as_is      as_is
media                   11000      01000      11000      11111
media types             1          20         1          any
system                  yes        yes        yes        any
developer               -          -          -          any
user                    yes        yes        yes        any
assistant               yes        yes        yes        any
tool                    yes        -          -          any
function                -          -          -          any
message fields          1100       0000       0000       1111
null content            yes        -          -          yes
stream usage            inject     never      never      inject
`
	var got strings.Builder
	row := func(name string, cell func(c *Contract) string) {
		line := fmt.Sprintf("%-24s", name)
		for _, c := range Contracts() {
			line += fmt.Sprintf("%-11s", cell(c))
		}
		got.WriteString("\n" + strings.TrimRight(line, " "))
	}
	row("", func(c *Contract) string { return c.Name })
	for p := range paramCount {
		row(p.String(), func(c *Contract) string { return yes(c.Params.Has(p)) })
	}
	row("other fields", func(c *Contract) string { return yes(c.Open) })
	for p := range paramCount {
		if numberParams().Has(p) {
			row(p.String(), func(c *Contract) string { return ends(c.numberRange(p)) })
		}
	}
	for _, p := range []Param{ParamReasoningEffort, ParamResponseFormat} {
		row(p.String(), func(c *Contract) string { return count(len(c.words(p))) })
	}
	row("extra_body", func(c *Contract) string { return digits(c.Extensions, 3) })
	row("tools not functions", func(c *Contract) string { return yes(c.OtherTools) })
	row("stop sequences", func(c *Contract) string { return count(c.MaxStops) })
	row("stop form", func(c *Contract) string { return c.StopForm.String() })
	row("media", func(c *Contract) string { return digits(c.Media, 5) })
	row("media types", func(c *Contract) string { return count(len(c.MediaTypes)) })
	for r := range RoleOther {
		row(roleNames()[r], func(c *Contract) string {
			if c.Roles == 0 {
				return "any"
			}
			return yes(c.Roles.Has(r))
		})
	}
	row("message fields", func(c *Contract) string { return digits(c.MessageFields, 4) })
	row("null content", func(c *Contract) string { return yes(c.EmptyContent) })
	row("stream usage", func(c *Contract) string { return c.StreamUsage.String() })
	if diff := cmp.Diff(want, got.String()+"\n"); diff != "" {
		t.Error(diff)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func count(n int) string {
	if n == 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

// ends writes a range as "0..2".
func ends(r Range) string {
	if !r.Whole && math.IsInf(r.Least, -1) && math.IsInf(r.Most, 1) {
		return "any"
	}
	end := func(v float64) string {
		if math.Abs(v) >= mostExact {
			return ""
		}
		return fmt.Sprint(v)
	}
	return end(r.Least) + ".." + end(r.Most)
}

// digits writes a set with a digit for each element, the first one first.
func digits[S ~uint8](s S, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprint(&text, s>>i&1)
	}
	return text.String()
}

func TestContractNames(t *testing.T) {
	for _, c := range Contracts() {
		got, ok := ContractByName(c.Name)
		if !ok {
			t.Fatalf("no contract is called %q", c.Name)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, ok := ContractByName("StarMagic"); ok {
		t.Error("contract names ignore case")
	}
	for _, name := range []string{"inject", "pass", "never"} {
		if u, ok := StreamUsageByName(name); !ok || u.String() != name {
			t.Errorf("stream_usage %s reads as %s", name, u)
		}
	}
	for i, name := range []string{"system", "developer", "user", "assistant", "tool", "function", "narrator"} {
		if got := RoleByName(name); got != Role(i) {
			t.Errorf("role %s reads as %d, want %d", name, got, i)
		}
	}
	for p := range paramCount {
		if got, ok := ParamByName(p.String()); !ok || got != p {
			t.Errorf("field %s reads as %s", p, got)
		}
	}
	for _, name := range []string{"", "user", "metadata", "store", "Temperature", "unknown"} {
		if p, ok := ParamByName(name); ok {
			t.Errorf("field %q reads as %s, want it to be unknown", name, p)
		}
	}
}
