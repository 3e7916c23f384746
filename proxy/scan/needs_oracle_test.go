package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

// checkNeeds compares what the providers must be able to do for the request.
func checkNeeds(t failer, d *Document) {
	t.Helper()
	v := readTree(t, d.Body)
	for i, m := range d.Members {
		var want float64
		if raw := v.members[i].value.raw; m.Kind == Number && (json.Unmarshal(raw, &want) != nil || m.Number != want) {
			t.Fatalf("%q: %s is %v, encoding/json reads %v", d.Body, m.Name, m.Number, want)
		}
	}
	firstStop := v.get("stop").String()
	if stops := v.get("stop").elements; len(stops) > 0 {
		firstStop = stops[0].String()
	}
	if d.Stops > 0 && string(d.slice(d.FirstStop)) != firstStop {
		t.Fatalf("%q: the first stop is %s, want %s", d.Body, d.slice(d.FirstStop), firstStop)
	}
	got := fmt.Sprintln(d.ReasoningEffort, d.Extensions, d.OtherTools, d.EmptyContent, d.NoContent, string(d.slice(d.IncludeUsageAt)))
	want := fmt.Sprintln(v.effort(), v.extensions(), v.otherTools(), v.emptyContent(), v.noContent(), v.includeUsage())
	if got != want {
		t.Fatalf("%q: scan needs %s, encoding/json %s", d.Body, got, want)
	}
	checkLoose(t, d, v)
}

func checkLoose(t failer, d *Document, v *tree) {
	t.Helper()
	var got, want []string
	for i, l := range d.Loose {
		var name string
		if err := json.Unmarshal(d.slice(l.Key()), &name); err != nil {
			t.Fatalf("%q: the key of loose %d: %v", d.Body, i, err)
		}
		got = append(got, fmt.Sprintf("%d %q=%s %v", l.Kind, name, d.slice(l.Value()), l.Empty))
		if shown := d.LooseName(&l); !looseNameForm.MatchString(shown) {
			t.Fatalf("%q: unsafe name %q", d.Body, shown)
		}
	}
	for _, l := range v.loose() {
		want = append(want, fmt.Sprintf("%d %q=%s %v", l.kind, l.name, l.value.raw, l.value.isEmpty()))
	}
	inOrder := slices.IsSortedFunc(d.Loose, func(a, b Loose) int { return a.Key().Start - b.Key().Start })
	if !slices.Equal(got, want) || !inOrder {
		t.Fatalf("%q\nloose in scan          %q\nloose in encoding/json %q", d.Body, got, want)
	}
}

var (
	looseNameForm = regexp.MustCompile(`^[a-z_.]+\.([A-Za-z0-9_.-]{1,64}|\(unprintable\))$`)
	wordForm      = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

func (v *tree) effort() string {
	return wordForm.FindString(v.get("reasoning_effort").text())
}

func (v *tree) extensions() Extensions {
	var out Extensions
	for _, m := range v.get("extra_body").members {
		switch {
		case m.name == "google" && m.value.raw[0] == '{':
			out |= m.value.googleExtensions()
		default:
			out |= ExtensionOther
		}
	}
	return out
}

func (v *tree) googleExtensions() Extensions {
	var out Extensions
	for _, m := range v.members {
		switch {
		case m.value.isNull():
			out |= ExtensionOther
		case m.name == "cached_content":
			out |= ExtensionCachedContent
		case m.name == "thinking_config":
			out |= ExtensionThinkingConfig
		default:
			out |= ExtensionOther
		}
	}
	return out
}

func (v *tree) otherTools() bool {
	isOther := func(tool *tree) bool { return !tool.isFunction() }
	hasOther := func(message *tree) bool { return slices.ContainsFunc(message.get("tool_calls").elements, isOther) }
	choice := v.get("tool_choice")
	return slices.ContainsFunc(v.get("tools").elements, isOther) || slices.ContainsFunc(v.get("messages").elements, hasOther) || len(choice.members) > 0 && isOther(choice)
}

func (v *tree) emptyContent() bool {
	return slices.ContainsFunc(v.get("messages").elements, func(message *tree) bool {
		return message.has("content") && message.get("content").isNull() || !message.has("content") && message.calls()
	})
}

func (v *tree) noContent() bool {
	return slices.ContainsFunc(v.get("messages").elements, func(message *tree) bool {
		return !message.has("content") && !message.calls()
	})
}

// calls says whether a message holds tool calls.
func (v *tree) calls() bool { return v.has("tool_calls") && !v.isBlank("tool_calls") }

// isBlank says whether a member is null, "", [] or {}, white space aside.
func (v *tree) isBlank(name string) bool {
	var compact bytes.Buffer
	_ = json.Compact(&compact, []byte(v.get(name).String()))
	return slices.Contains([]string{"null", `""`, "[]", "{}"}, compact.String())
}

// includeUsage is the value of stream_options.include_usage, nothing when there is none.
func (v *tree) includeUsage() string {
	if options := v.get("stream_options"); options.has("include_usage") {
		return options.get("include_usage").String()
	}
	return ""
}
