package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommittedPageAgreesWithTheContracts(t *testing.T) {
	t.Chdir("../..")
	committed, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want, err := renewed(committed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(committed)); diff != "" {
		t.Errorf("docs/providers.md is out of date: run go generate ./upstream\n(-contracts +committed)\n%s", diff)
	}
}

func TestRows(t *testing.T) {
	text := tables()
	f := func(row string) {
		t.Helper()
		if !strings.Contains(text, "\n"+row+"\n") {
			t.Errorf("no row %s", row)
		}
	}
	f("| `max_tokens` | yes, at least 1 | yes, at least 1 | yes, at least 1 | yes |")
	f("| `max_completion_tokens` | yes, at least 1 | as `max_tokens` | as `max_tokens` | yes |")
	f("| `temperature` | yes, at least 0 | yes, from 0 to 2 | yes, from 0 to 2 | yes |")
	f("| `stop` | yes | yes, at most 4, a single one as a string | - | yes |")
	f("| `seed` | yes | - (may be dropped) | - (may be dropped) | yes |")
	f("| `tools` | yes, functions only | yes, functions only | - | yes, of any type |")
	f("| `extra_body` | yes, `google.cached_content`, `google.thinking_config` | - | - | yes |")
	f("| `stream_options` | yes | left out | left out | yes |")
	f("| fields of no contract | dropped | dropped | dropped | yes |")
	f("| role `developer` | as `system` | as `system` | as `system` | yes |")
	f("| media by http or https address | yes | - | yes | yes |")
	f("- `evolink`: `image/*`")
	f("- `openai`: any")
}

func TestMarks(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := renewed([]byte(text))
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	f("above\n"+begin+"old\n"+end+"below\n", "above\n"+begin+tables()+end+"below\n")
	const lacking = "../docs/providers.md lacks the marks between which the tables stand"
	f("", lacking)
	f(begin, lacking)
	f(end, lacking)
}
