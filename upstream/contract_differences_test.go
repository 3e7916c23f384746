package upstream

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestDifferences goes from a contract to the configuration that makes it, to
// the text that an operator copies, and back.
func TestDifferences(t *testing.T) {
	for _, base := range Contracts() {
		if got := Differences(base, base).YAML(); got != base.Name {
			t.Errorf("%s differs from itself: %s", base.Name, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		base := rapid.SampledFrom(Contracts()).Draw(rt, "base")
		want := configured(rt, base).contract()
		text := Differences(base, want).YAML()
		if strings.Contains(text, "\n") {
			rt.Fatalf("%q is more than one line", text)
		}
		got := contractOf(t, text)
		byParam := cmpopts.SortSlices(func(a, b Range) bool { return a.Param < b.Param })
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), byParam, cmpopts.SortSlices(func(a, b Words) bool { return a.Param < b.Param })); diff != "" {
			rt.Fatalf("%s:\n%s", text, diff)
		}
	})
}

// TestDifferencesOfRefusals has a probe find that a field is not taken of which it had
// learned more before: the configuration says only that, and is valid.
func TestDifferencesOfRefusals(t *testing.T) {
	c := starMagic()
	c.Params = c.Params.Without(ParamStop).Without(ParamTopP).Without(ParamReasoningEffort).Without(ParamExtraBody).Without(ParamTools)
	c.MaxStops, c.StopForm, c.Extensions, c.OtherTools = 2, StopArray, ExtensionOther, true
	c.Ranges = slices.DeleteFunc(c.Ranges, func(r Range) bool { return r.Param == ParamTopP })
	c.Words = c.Words[1:]
	text := Differences(starMagic(), c).YAML()
	if diff := cmp.Diff("{base: starmagic, deny: [top_p, stop, tools, reasoning_effort, extra_body]}", text); diff != "" {
		t.Error(diff)
	}
	contractOf(t, text)
}

// configured draws a valid configuration.
func configured(t *rapid.T, base *Contract) ContractConfig {
	some := func(option string, of []string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, option)
	}
	whole := func(option string, of []string, alone ...string) []string {
		if rapid.Bool().Draw(t, option+" whole") {
			return []string{rapid.SampledFrom(alone).Draw(t, option)}
		}
		return some(option, of)
	}
	word := func(option string, of ...string) string { return rapid.SampledFrom(append(of, "")).Draw(t, option) }
	c := ContractConfig{
		Base:          base.Name,
		Allow:         some("allow", AllParams().Names()),
		Words:         map[string][]string{},
		Ranges:        map[string]RangeConfig{},
		Media:         whole("media", mediaNames(), listAny, listNone),
		MediaTypes:    whole("media_types", []string{"image/png", "image/*", "audio/wav"}, listAny),
		Roles:         whole("roles", roleNames(), listAny),
		MessageFields: whole("message_fields", messageFieldNames(), listAny, listNone),
		EmptyContent:  word("empty_content", optionAllow, optionDeny),
		Done:          word("done", doneRequired, doneOptional),
		StreamUsage:   word("stream_usage", "inject", "pass", "never"),
	}
	taken := append(c.Allow, "model", "messages", "stream")
	if c.StreamUsage != "" {
		taken = append(taken, "stream_options")
	}
	c.Deny = slices.DeleteFunc(some("deny", AllParams().Names()), func(name string) bool { return slices.Contains(taken, name) })
	other := some("other fields", []string{"user", "store", "null", "true", "n1"})
	if base.Open {
		c.Drop = other
	} else {
		c.Forward = other
	}
	configureValues(t, &c)
	return c
}

// configureValues draws what a valid configuration says of the values of fields that it takes.
func configureValues(t *rapid.T, c *ContractConfig) {
	some := func(option string, of []string) []string {
		if len(of) == 0 {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID).Draw(t, option)
	}
	made := c.contract()
	takes := func(name string) bool {
		p, _ := ParamByName(name)
		return made.takesAs(p)
	}
	if takes("stop") {
		c.MaxStops = rapid.IntRange(-1, 9).Draw(t, "max_stops")
		c.Stop = rapid.SampledFrom(append(stopFormNames(), "")).Draw(t, "stop")
	}
	if takes("extra_body") {
		c.Extensions = some("extensions", append(extensionNames(), listAny, listNone))
		if slices.Contains(c.Extensions, listAny) || slices.Contains(c.Extensions, listNone) {
			c.Extensions = c.Extensions[:1]
		}
	}
	if takes("tools") {
		c.OtherTools = rapid.SampledFrom([]string{optionAllow, optionDeny, ""}).Draw(t, "other_tools")
	}
	notTaken := func(name string) bool { return !takes(name) }
	for _, name := range some("ranges", slices.DeleteFunc(numberParams().Names(), notTaken)) {
		ends := rapid.SliceOfN(rapid.Float64Range(-1e30, 1e30), 2, 2).Draw(t, name)
		slices.Sort(ends)
		c.Ranges[name] = rapid.SampledFrom([]RangeConfig{
			{}, {Least: bound(ends[0])}, {Most: bound(ends[1])}, {bound(ends[0]), bound(ends[1])}, {"0", "2"}, {"1", ""},
		}).Draw(t, name+" ends")
	}
	for _, name := range some("words", slices.DeleteFunc([]string{"reasoning_effort", "response_format"}, notTaken)) {
		c.Words[name] = some(name, []string{"none", "low", "any", "null", "1"})
	}
}
