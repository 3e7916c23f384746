package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tollgate/size"
	"tollgate/telemetry"
	"tollgate/usage"
)

// sample has one option of every kind. Its errors stay the same when an option
// is added to the real Config.
type sample struct {
	Name    string           `yaml:"name"`
	Secret  telemetry.Secret `yaml:"secret"`
	Count   int              `yaml:"count"`
	Ratio   float64          `yaml:"ratio"`
	On      bool             `yaml:"on"`
	Size    size.Bytes       `yaml:"size"`
	Wait    time.Duration    `yaml:"wait"`
	Price   usage.Money      `yaml:"price"`
	Section struct {
		Keys []telemetry.Secret `yaml:"keys"`
	} `yaml:"section"`
	Table map[string]struct {
		Weight int `yaml:"weight"`
	} `yaml:"table"`
	Inline struct {
		Inner string `yaml:"inner"`
	} `yaml:",inline"`
}

func decodeSample(text string, env Environment) (sample, error) {
	src := &source{name: "c.yaml", text: text, of: reflect.TypeFor[sample]()}
	var s sample
	root, err := src.parse()
	if err != nil {
		return s, err
	}
	d := &decoder{source: src, env: env, placed: make(map[string]position)}
	return s, d.decode(root, reflect.ValueOf(&s).Elem())
}

func testEnvironment() Environment {
	return Environment{
		Lookup: func(name string) (string, bool) {
			value, ok := map[string]string{
				"N": "7", "EMPTY": "", "YAML": "}, x: [1", "DOLLAR": "${N}", "WAIT": "30", "PASSWORD": "hunter2", "AMOUNT": "'5'",
			}[name]
			return value, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path != "/run/secrets/key" {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte("from a file\r\n\n"), nil
		},
	}
}

func TestMistakesInTheText(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := decodeSample(text, testEnvironment())
		if got := errorText(err); got != strings.Join(want, "\n") {
			t.Errorf("%q\n got %s\nwant %s", text, got, strings.Join(want, "\n"))
		}
	}
	// Names.
	f("name: a\nnam: b\n",
		`c.yaml:2:1: nam: unknown option; known here: name, secret, count, ratio, on, size, wait, price, section, table, inner`,
		`  1 | name: a`,
		`> 2 | nam: [redacted]`,
		`    | ^`)
	f("section:\n  kyes: [sesame]\n",
		`c.yaml:2:3: section.kyes: unknown option; known here: keys`,
		`  1 | section:`,
		`> 2 |   kyes: [[redacted]]`,
		`    |   ^`)
	f("{count: 1, \"count\": 2}",
		`c.yaml:1:12: count: set twice; the first time in line 1`,
		`> 1 | {count: 1, "count": 2}`,
		`    |            ^`)
	f("table: {'': {}}",
		`c.yaml:1:9: table: a name is empty`,
		`> 1 | table: {[redacted] {}}`,
		`    |         ^`)

	// Types.
	f("count: many\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "many"`,
		`> 1 | count: many`,
		`    |        ^`)
	f("count: 1.5\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "1.5"`,
		`> 1 | count: 1.5`,
		`    |        ^`)
	f("count: \"5\"\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "5"`,
		`> 1 | count: "5"`,
		`    |        ^`)
	f("count: 010\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "010"`,
		`> 1 | count: 010`,
		`    |        ^`)
	f("count: 99999999999999999999\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "99999999999999999999"`,
		`> 1 | count: 99999999999999999999`,
		`    |        ^`)
	f("on: yes\n",
		`c.yaml:1:5: on: must be true or false, got "yes"`,
		`> 1 | on: yes`,
		`    |     ^`)
	f("ratio: .inf\n",
		`c.yaml:1:8: ratio: must be a number such as 0.25, got ".inf"`,
		`> 1 | ratio: .inf`,
		`    |        ^`)
	f("wait: 30\n",
		`c.yaml:1:7: wait: must be a duration with its unit such as 300ms, 30s or 15m, got "30"`,
		`> 1 | wait: 30`,
		`    |       ^`)
	f("wait: 00\n",
		`c.yaml:1:7: wait: must be a duration with its unit such as 300ms, 30s or 15m, got "00"`,
		`> 1 | wait: 00`,
		`    |       ^`)
	f("name: true\n",
		`c.yaml:1:7: name: must be text; put it in quotes, got "true"`,
		`> 1 | name: true`,
		`    |       ^`)
	f("size: 3 apples\n",
		`c.yaml:1:7: size: "3 apples" is not a size: write a whole number of bytes with an optional unit such as 64KiB or 20MiB, at most 1024GiB`,
		`> 1 | size: 3 [redacted]`,
		`    |       ^`)
	f("secret: 12345\n",
		`c.yaml:1:9: secret: must be text; put it in quotes`,
		`> 1 | secret: [redacted]`,
		`    |         ^`)
	f("name: [a]\n",
		`c.yaml:1:7: name: must be a single value, got a list`,
		`> 1 | name: [[redacted]]`,
		`    |       ^`)
	f("section: on\n",
		`c.yaml:1:10: section: must be a mapping of options, got text`,
		`> 1 | section: on`,
		`    |          ^`)
	f("section:\n  keys:\n    a: b\n",
		`c.yaml:3:5: section.keys: must be a list, got a mapping`,
		`  2 |   keys:`,
		`> 3 |     a: [redacted]`,
		`    |     ^`)
	f("section:\n  keys: [sesame,\n    ~]\n",
		`c.yaml:3:5: section.keys[1]: the item is empty`,
		`  2 |   keys: [[redacted],`,
		`> 3 |     [redacted]]`,
		`    |     ^`)
	f("- name\n",
		`c.yaml:1:1: the file must be a mapping of sections such as "server:"`,
		`> 1 | - name`,
		`    | ^`)

	// All mistakes are reported together, up to a limit.
	f("count: a # why\nwait: b\n",
		`c.yaml:1:8: count: must be a whole number in plain digits, got "a"`,
		`> 1 | count: a`,
		`    |        ^`,
		`c.yaml:2:7: wait: must be a duration with its unit such as 300ms, 30s or 15m, got "b"`,
		`  1 | count: a`,
		`> 2 | wait: b`,
		`    |       ^`)
}

func TestManyMistakesAreCutShort(t *testing.T) {
	_, err := decodeSample(strings.Repeat("count: x\n", 100), noEnvironment())
	lines := strings.Split(errorText(err), "\n")
	if got, want := lines[len(lines)-1], "c.yaml: these are the first 10 mistakes; there are more"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
	if got := strings.Count(err.Error(), "set twice"); got != 9 {
		t.Errorf("%d repetitions reported, want 9 after the wrong type", got)
	}
}

func TestRefusedYAML(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := decodeSample(text, testEnvironment())
		if got := errorText(err); got != strings.Join(want, "\n") {
			t.Errorf("%q\n got %s\nwant %s", text, got, strings.Join(want, "\n"))
		}
	}
	f("name: \"a\n",
		`c.yaml:1:7: not valid YAML: could not find end character of double-quoted text`,
		`> 1 | name: "a`,
		`    |       ^`)
	f("section:\n\tkeys: [sesame]\n",
		`c.yaml:2:1: not valid YAML: found character '	' that cannot start any token`,
		`  1 | section:`,
		`> 2 | →keys: [[redacted]]`,
		`    | ^`)
	f("section: {keys: [sesame}\n",
		`c.yaml:1:24: not valid YAML: ',' or ']' must be specified`,
		`> 1 | section: {keys: [[redacted]}`,
		`    |                            ^`)
	f("name: a\n---\nname: b\n",
		`c.yaml:2:1: a second document begins here; the configuration is one document`,
		`  1 | name: a`,
		`> 2 | [redacted]`,
		`    | ^`)
	f("table: {a: &x {weight: 1}, b: *x}\n",
		`c.yaml:1:12: anchors, aliases and merge keys are not supported: write the value out at each place`,
		`> 1 | table: {a: [redacted] {weight: 1}, b: [redacted]}`,
		`    |            ^`)
	f("table:\n  a:\n    <<: {weight: 1}\n",
		`c.yaml:3:5: anchors, aliases and merge keys are not supported: write the value out at each place`,
		`  2 |   a:`,
		`> 3 |     [redacted] {weight: 1}`,
		`    |     ^`)
	f("count: !!int \"5\"\n",
		`c.yaml:1:8: tags and directives are not supported: an option knows its own type`,
		`> 1 | count: !!int [redacted]`,
		`    |        ^`)
	f("? name\n: a\n",
		`c.yaml:1:1: a name written with ? is not supported: write "name: value"`,
		`> 1 | [redacted] name`,
		`    | ^`)
	f("name: "+strings.Repeat("[", 33)+"\n",
		`c.yaml:1:39: lists and mappings are nested more than 32 deep`,
		`> 1 | name: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`,
		`    |                                       ^`)
	f("table:\n  "+strings.Repeat("- ", 33)+"\n",
		`c.yaml:2:67: lists and mappings are nested more than 32 deep`,
		`  1 | table:`,
		`> 2 |   - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -`,
		`    |                                                                   ^`)
	f("name: a\nsecret: \xff\n", `c.yaml:2:1: not UTF-8 text`)
	f("# "+strings.Repeat("x", 1<<20), `c.yaml: larger than 1MiB`)
}

func TestLongLinesAreShownAroundTheMark(t *testing.T) {
	_, err := decodeSample("{name: "+strings.Repeat("ä", 1000)+", count: x, wait: "+strings.Repeat("1.", 500)+"s}", noEnvironment())
	want := strings.Join([]string{
		`c.yaml:1:1017: count: must be a whole number in plain digits, got "x"`,
		`> 1 | ` + strings.Repeat("ä", 50) + `, count: x, wait: ` + strings.Repeat("1.", 26),
		`    | ` + strings.Repeat(" ", 59) + `^`,
	}, "\n")
	if got, _, _ := strings.Cut(errorText(err), "\nc.yaml:1:1026"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReferences(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		s, err := decodeSample("name: "+value+"\n", testEnvironment())
		if err != nil || s.Name != want {
			t.Errorf("%s: got %q, %v, want %q", value, s.Name, err, want)
		}
	}
	f(`${N}`, "7")
	f(`"a${N}b${N}"`, "a7b7")
	f(`'${N}'`, "7")
	f("|\n  ${N}\n", "7\n")
	f(`${NONE:-default}`, "default")
	f(`"${NONE:-}"`, "")
	f(`${EMPTY:-default}`, "default")
	f(`"${EMPTY}"`, "")
	f(`":${N:-8080}"`, ":7")
	f(`"${NONE:-a:-b $ c}"`, "a:-b $ c")
	f(`${file:/run/secrets/key}`, "from a file")
	f(`$$`, "$")
	f(`"$${N} costs 5$$"`, "${N} costs 5$")
	// What a reference stands for is never read as YAML, nor searched for more references.
	f(`${YAML}`, "}, x: [1")
	f(`"${YAML}"`, "}, x: [1")
	f(`${DOLLAR}`, "${N}")
}

// A bare 0 is a duration, as time.ParseDuration has it; it replaces the default.
func TestDurations(t *testing.T) {
	f := func(value string, want time.Duration) {
		t.Helper()
		c, err := Parse("c.yaml", []byte("server: {keepalive_comment: "+value+"}\n"), noEnvironment())
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Server.KeepaliveComment; got != want {
			t.Errorf("keepalive_comment: %s is %s, want %s", value, got, want)
		}
	}
	f("", 15*time.Second)
	f("0", 0)
	f("'0'", 0)
	f("'${NONE:-0}'", 0)
	f("0s", 0)
	f("1m0.5s", 60500*time.Millisecond)
}

func TestReferencesFillEveryType(t *testing.T) {
	text := "count: ${N}\nratio: \"0.${N}\"\non: ${NONE:-true}\nsize: ${N}KiB\nwait: ${WAIT}s\n" +
		"secret: ${PASSWORD}\nsection: {keys: [\"${N}\"]}\ntable: {\"${N}\": {weight: \"${N}\"}}\ninner: ${N}\n"
	s, err := decodeSample(text, testEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	if s.Count != 7 || s.Ratio != 0.7 || !s.On || s.Size != 7<<10 || s.Wait != 30*time.Second || s.Inline.Inner != "7" {
		t.Errorf("got %+v", s)
	}
	if s.Secret.Reveal() != "hunter2" || s.Section.Keys[0].Reveal() != "7" {
		t.Error("a secret is not what its variable holds")
	}
	if _, ok := s.Table["${N}"]; !ok || len(s.Table) != 1 {
		t.Errorf("a name was expanded: %v", s.Table)
	}
}

// An amount keeps its digits, quoted or not, and is never read as YAML.
func TestAmountsAreTakenAsWritten(t *testing.T) {
	f := func(value string, want usage.Money) {
		t.Helper()
		s, err := decodeSample("price: "+value+"\n", testEnvironment())
		if err != nil || s.Price != want {
			t.Errorf("%s: got %q, %v, want %q", value, s.Price, err, want)
		}
	}
	f(`"0.10"`, "0.10")
	f(`0.10`, "0.10")
	f(`12.0000000010`, "12.0000000010")
	f(`${AMOUNT}`, "'5'")
	f(`"${N}.50"`, "7.50")
}

// Programs that write YAML write small numbers with an exponent.
func TestNumbersWithExponents(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		got, err := decodeSample("ratio: "+text, testEnvironment())
		if err != nil || got.Ratio != want {
			t.Errorf("%s: %g, %v; want %g", text, got.Ratio, err, want)
		}
	}
	f("1e-05", 0.00001)
	f("1E2", 100)
	f("5.0e-1", 0.5)
	f("-2e+1", -20)
	if _, err := decodeSample(`ratio: "1e-05"`, testEnvironment()); err == nil {
		t.Error("text in quotes is no number")
	}
	if got, err := decodeSample(`name: "1e5"`, testEnvironment()); err != nil || got.Name != "1e5" {
		t.Errorf("a quoted name: %q, %v", got.Name, err)
	}
}

func TestReferencesThatLeadNowhere(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		_, err := decodeSample("name: "+value+"\n", testEnvironment())
		got, _, _ := strings.Cut(errorText(err), "\n")
		if want = "c.yaml:1:7: name: " + want; got != want {
			t.Errorf("%s\n got %s\nwant %s", value, got, want)
		}
	}
	f(`${NONE}`, "environment variable NONE is not set: set it, or write ${NONE:-default}")
	f(`${file:/none}`, "${file:/none}: open /none: file does not exist")
	f(`${file:key}`, "${file:key}: the path must be absolute")
	f(`$NAME`, "a dollar sign stands alone: write ${NAME} for a variable, $$ for a dollar sign")
	f(`costs 5$`, "a dollar sign stands alone: write ${NAME} for a variable, $$ for a dollar sign")
	f(`"${NAME"`, "a ${ has no closing }")
	f(`"${}"`, "${}: write ${NAME}, ${NAME:-default} or ${file:/path}, the name in letters, digits and _")
	f(`"${1ST}"`, "${1ST}: write ${NAME}, ${NAME:-default} or ${file:/path}, the name in letters, digits and _")
	f(`"${NAME-default}"`, "${NAME-default}: write ${NAME}, ${NAME:-default} or ${file:/path}, the name in letters, digits and _")
	f(`"${A:-${N}}"`, "${A:-${N}: a default cannot hold another reference")
}

func TestErrorsDoNotShowWhatAReferenceStandsFor(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := decodeSample(text, testEnvironment())
		got := errorText(err)
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: the value of the variable is shown: %s", text, got)
		}
		if got, _, _ = strings.Cut(got, "\n"); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	f("count: ${PASSWORD}", `c.yaml:1:8: count: must be a whole number in plain digits; "${PASSWORD}" stands for something else`)
	f("on: ${PASSWORD}", `c.yaml:1:5: on: must be true or false; "${PASSWORD}" stands for something else`)
	f("ratio: ${PASSWORD}", `c.yaml:1:8: ratio: must be a number such as 0.25; "${PASSWORD}" stands for something else`)
	f("wait: ${PASSWORD}", `c.yaml:1:7: wait: must be a duration with its unit such as 300ms, 30s or 15m; "${PASSWORD}" stands for something else`)
	f("size: ${PASSWORD}", `c.yaml:1:7: size: "${PASSWORD}" stands for a value that this option does not take`)
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	path := filepath.Join(dir, "config.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(key, "a-token-from-a-file\n")
	write(path, "admin: {token: \"${file:"+key+"}\", listen: \"127.0.0.1:${TOLLGATE_TEST_PORT}\"}\n")
	t.Setenv("TOLLGATE_TEST_PORT", "9999")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Admin.Token.Reveal() != "a-token-from-a-file" || c.Admin.Listen != "127.0.0.1:9999" {
		t.Errorf("got the token %q and the address %q", c.Admin.Token.Reveal(), c.Admin.Listen)
	}

	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	write(path, strings.Repeat("#", 1<<20+1))
	if _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), "config.yaml: larger than 1MiB") {
		t.Errorf("a file over 1 MiB gives %v", err)
	}
	write(path, "data_dir: ${file:/dev/zero}\n")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "data_dir: ${file:/dev/zero}: /dev/zero: larger than 1MiB") {
		t.Errorf("an endless file gives %v", err)
	}
}
