package upstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contracts returns every contract, in the order of the table below.
func contracts() []*Contract {
	return []*Contract{starMagic(), theTurbo(), evolink(), openAI()}
}

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
stop sequences          any        4          any        any
http media              yes        -          yes        yes
data media              yes        yes        yes        yes
media types             1          20         1          any
roles                   4          3          3          any
stream usage            inject     never      never      inject
`
	var got strings.Builder
	row := func(name string, cell func(c *Contract) string) {
		line := fmt.Sprintf("%-24s", name)
		for _, c := range contracts() {
			line += fmt.Sprintf("%-11s", cell(c))
		}
		got.WriteString("\n" + strings.TrimRight(line, " "))
	}
	row("", func(c *Contract) string { return c.Name })
	for p := range paramCount {
		row(p.String(), func(c *Contract) string { return yes(c.Params.Has(p)) })
	}
	row("other fields", func(c *Contract) string { return yes(c.Open) })
	row("stop sequences", func(c *Contract) string { return count(c.MaxStops) })
	row("http media", func(c *Contract) string { return yes(c.Media&MediaHTTP != 0) })
	row("data media", func(c *Contract) string { return yes(c.Media&MediaData != 0) })
	row("media types", func(c *Contract) string { return count(len(c.MediaTypes)) })
	row("roles", func(c *Contract) string { return count(rolesIn(c.Roles)) })
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

func rolesIn(s RoleSet) (n int) {
	for r := range RoleOther + 1 {
		if s.Has(r) {
			n++
		}
	}
	return n
}

func TestContractNames(t *testing.T) {
	for _, c := range contracts() {
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

// TestLacks asks who can serve what. The answers are, for each contract in the
// order of the table above, the field that stands in the way.
func TestLacks(t *testing.T) {
	f := func(n Needs, want string) {
		t.Helper()
		var got []string
		for _, c := range contracts() {
			param := "-"
			if lack, lacks := c.Lacks(&n); lacks {
				param = lack.Param.String()
			}
			got = append(got, param)
		}
		if answers := strings.Join(got, " "); answers != want {
			t.Errorf("%+v is lacking %q, want %q", n, answers, want)
		}
	}
	f(Needs{}, "- - - -")
	f(Needs{Params: Params(ParamModel, ParamMessages, ParamStream, ParamTemperature, ParamTopP, ParamMaxTokens)}, "- - - -")
	f(Needs{Params: Params(ParamStreamOptions)}, "- - - -")
	f(Needs{Params: Params(ParamN)}, "- - n -")
	f(Needs{Params: Params(ParamTools, ParamToolChoice)}, "- - tools -")
	f(Needs{Params: Params(ParamToolChoice)}, "- - tool_choice -")
	f(Needs{Params: Params(ParamTopK)}, "top_k top_k - -")
	f(Needs{Params: Params(ParamResponseFormat, ParamSeed)}, "- seed seed -")
	f(Needs{Params: Params(ParamMaxCompletionTokens)}, "- - - -") // as max_tokens
	f(Needs{Params: Params(ParamExtraBody)}, "- extra_body extra_body -")
	f(Needs{Params: Params(ParamLogitBias, ParamTopK)}, "top_k top_k logit_bias -")

	f(Needs{Params: Params(ParamStop), Stops: 1}, "- - stop -")
	f(Needs{Params: Params(ParamStop), Stops: 4}, "- - stop -")
	f(Needs{Params: Params(ParamStop), Stops: 5}, "- stop stop -")

	f(Needs{Media: MediaHTTP}, "- messages - -")
	f(Needs{MediaTypes: []string{"image/png"}}, "- - - -")
	f(Needs{MediaTypes: []string{"image/png", "image/gif"}}, "- messages - -")
	f(Needs{MediaTypes: []string{"audio/wav"}}, "messages - messages -")
	f(Needs{MediaTypes: []string{"video/3gpp"}}, "messages - messages -")
	f(Needs{MediaTypes: []string{"application/pdf"}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{""}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{"image"}}, "messages messages messages -")
	f(Needs{MediaTypes: []string{"image/*"}}, "- messages - -")

	f(Needs{Roles: Roles(RoleSystem, RoleUser, RoleAssistant)}, "- - - -")
	f(Needs{Roles: Roles(RoleUser, RoleTool)}, "- messages messages -")
	f(Needs{Roles: Roles(RoleByName("developer"))}, "- - - -") // as system
	f(Needs{Roles: Roles(RoleByName("narrator"))}, "messages messages messages -")
}

func TestTakes(t *testing.T) {
	f := func(c *Contract, p Param, want bool) {
		t.Helper()
		if got := c.Takes(p); got != want {
			t.Errorf("%s takes %s: %t", c.Name, p, got)
		}
	}
	f(starMagic(), ParamStreamOptions, true)
	f(theTurbo(), ParamStreamOptions, false)
	f(openAI(), ParamTopK, true)
	f(starMagic(), ParamTopK, false)
}

func TestNoDataMedia(t *testing.T) {
	c := Contract{Media: MediaHTTP}
	if lack, lacks := c.Lacks(&Needs{Media: MediaData, MediaTypes: []string{"image/png"}}); !lacks || lack.Param != ParamMessages {
		t.Errorf("a contract without data: URLs lacks (%v, %t) for one", lack, lacks)
	}
}
