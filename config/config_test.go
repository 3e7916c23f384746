package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// noEnvironment has no variables and no files, as the example must work anywhere.
func noEnvironment() Environment { return Environment{} }

func exampleFile(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestExampleFileShowsTheDefaults(t *testing.T) {
	got, err := Parse("config.yaml", exampleFile(t), noEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	// These two have no defaults; the file says so at its head.
	got.Upstream, got.Usage = want.Upstream, want.Usage
	if diff := cmp.Diff(want, *got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("config.yaml claims to show the defaults (-default +file):\n%s", diff)
	}
}

func TestExampleFileShowsEveryOption(t *testing.T) {
	d := decodedExample(t)
	for path := range described(t) {
		// The default of a table may be that it is empty: then it is shown as such.
		pattern := regexp.MustCompile("^" + strings.TrimSuffix(path, `\..+`) + "$|^" + path + "$")
		found := false
		for placed := range d.placed {
			found = found || pattern.MatchString(placed)
		}
		if !found {
			t.Errorf("config.yaml does not show the option %s", path)
		}
	}
}

// Where an option is inside a map or a list, its default stands in its
// documentation alone. The example shows the same figures.
func TestExampleFileAgreesWithTheDocumentedDefaults(t *testing.T) {
	text := string(exampleFile(t))
	documented := regexp.MustCompile(`(?:Default|0 means) (\w+)\.`)
	checked := 0
	for path, description := range described(t) {
		m := documented.FindStringSubmatch(description)
		name := path[strings.LastIndex(path, ".")+1:]
		if m == nil || strings.HasPrefix(path, "limits") {
			continue
		}
		checked++
		if !regexp.MustCompile(`\b` + name + `:\s+` + m[1] + `\b`).MatchString(text) {
			t.Errorf("%s: its documentation says %q, which config.yaml does not show", path, m[0])
		}
	}
	if checked < 9 {
		t.Errorf("found %d documented defaults, want at least the five timeouts, the attempts, two weights and the tier", checked)
	}
}

func TestEmptySectionsKeepTheDefaults(t *testing.T) {
	f := func(text string) {
		t.Helper()
		got, err := Parse("config.yaml", []byte(text), noEnvironment())
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		if diff := cmp.Diff(Default(), *got); diff != "" {
			t.Errorf("%q changes the defaults (-default +file):\n%s", text, diff)
		}
	}
	f("")
	f("\n# nothing but a comment\n")
	f("---\n")
	f("--- # begins a document\nserver:\n")
	f("~")
	f("{}")
	f("\ufeffserver: {}\n")
	f("server:\nadmin: ~\nlimits: {default: }\nproviders:\nprices:\n")
	f("server:\r\n  listen:\r\n")
}

func TestOneOptionLeavesItsNeighboursAlone(t *testing.T) {
	got, err := Parse("config.yaml", []byte("limits: {default: {requests_per_minute: 7}}\nserver:\n  idle_timeout: 1m30s\n"), noEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Limits.Default.RequestsPerMinute = 7
	want.Server.IdleTimeout = 90e9
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestValidationNamesTheLine(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Parse("config.yaml", []byte(text), noEnvironment())
		if got := errorText(err); got != want {
			t.Errorf("%q\n got %s\nwant %s", text, got, want)
		}
	}
	f("server:\n  max_in_flight: 0\n  listen: here\n",
		"config.yaml:3:3: server.listen: must be host:port such as \":8080\", got \"here\"\n"+
			"config.yaml:2:3: server.max_in_flight: must be 1 or more, got 0")
	// An option that the file leaves out is reported at the section around it.
	f("providers:\n  acme: {}\n",
		"config.yaml:2:3: providers.acme.contract: must be starmagic, theturbo, evolink or openai, got \"\"\n"+
			"config.yaml:2:3: providers.acme.endpoints: must list at least one endpoint")
	// Either form of a contract has its place.
	const endpoints = "    endpoints: [{url: 'https://h/v1'}]\n"
	f("providers:\n  acme:\n    contract: acme\n"+endpoints,
		"config.yaml:3:5: providers.acme.contract: must be starmagic, theturbo, evolink or openai, got \"acme\"")
	f("providers:\n  acme:\n    contract:\n      allow: [seed, sed]\n      base: acme\n"+endpoints,
		"config.yaml:5:7: providers.acme.contract.base: must be starmagic, theturbo, evolink or openai, got \"acme\"")
	f("providers:\n  acme:\n    contract:\n      base: theturbo\n      roles: [user,\n        narrator]\n      ranges:\n        top_p: {least: 1, most: 0}\n"+endpoints,
		"config.yaml:8:9: providers.acme.contract.ranges.top_p: least must not be above most, got 1 and 0\n"+
			"config.yaml:6:9: providers.acme.contract.roles[1]: must be system, developer, user, assistant, tool, function or any, got \"narrator\"")
	f("server: {max_body_memory: 1MiB}\n",
		"config.yaml:1:10: server.max_body_memory: must hold twice server.max_request_body and once server.max_answer (72MiB), got 1MiB")
	f("usage:\n  sync: lazy\n  max_journal: 8MiB\n  keep_shipped: 169h\n",
		"config.yaml:2:3: usage.sync: must be strict or relaxed, got \"lazy\"\n"+
			"config.yaml:3:3: usage.max_journal: must be between 16MiB and 1024GiB, got 8MiB\n"+
			"config.yaml:4:3: usage.keep_shipped: must be between 0s and 168h0m0s, got 169h0m0s")
	f("data_dir: ''\n",
		"config.yaml:1:1: data_dir: must name a folder such as \"./data\"; without one no usage record would be safe")
	f("admin:\n  listen: ':8080'\n",
		"config.yaml:2:3: admin.listen: must differ from server.listen, both are \":8080\"")
	f("server: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n", "")
	f("prices:\n  - {model: misspelt, input: '1', output: '1'}\n",
		"config.yaml:2:6: prices[0].model: models has no \"misspelt\"; a price applies to a public model name")
	f("costs:\n- provider: nobody\n  model: m\n  input: '1'\n  output: '1'\n",
		"config.yaml:2:3: costs[0].provider: providers has no \"nobody\"")
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
