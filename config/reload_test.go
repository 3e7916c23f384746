package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// volume is a folder as Kubernetes mounts one: the files are links through
// ..data, which is exchanged for another one.
type volume struct{ folder string }

// publish puts files into force, all at once.
func (v volume) publish(t *testing.T, name string, files map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(v.folder, name), 0o700))
	for file, text := range files {
		must(os.WriteFile(filepath.Join(v.folder, name, file), []byte(text), 0o600))
		if _, err := os.Lstat(filepath.Join(v.folder, file)); err != nil {
			must(os.Symlink(filepath.Join("..data", file), filepath.Join(v.folder, file)))
		}
	}
	must(os.Symlink(name, filepath.Join(v.folder, "..next")))
	must(os.Rename(filepath.Join(v.folder, "..next"), filepath.Join(v.folder, "..data")))
}

func (v volume) path(file string) string { return filepath.Join(v.folder, file) }

// pepperedBy is a configuration whose only secret is in a file.
func pepperedBy(path string) string {
	return "keys: {pepper: '${file:" + path + "}'}\nadmin: {token: '${file:" + path + "}'}\n"
}

func TestSourcesAreComparedByContent(t *testing.T) {
	v := volume{t.TempDir()}
	text, secret := pepperedBy(v.path("secret")), "0123456789abcdef"
	v.publish(t, "1", map[string]string{"config.yaml": text, "secret": secret})
	_, first, err := LoadSources(v.path("config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, want bool) {
		t.Helper()
		now := first.Look()
		if now.Equal(first) != want || !now.Equal(first.Look()) {
			t.Errorf("%s: unchanged: %v, want %v", what, now.Equal(first), want)
		}
	}
	f("nothing", true)
	v.publish(t, "2", map[string]string{"config.yaml": text, "secret": secret})
	f("new files with the same content", true)
	v.publish(t, "3", map[string]string{"config.yaml": text, "secret": secret + "0"})
	f("another secret", false)
	v.publish(t, "4", map[string]string{"config.yaml": text + "# new\n", "secret": secret})
	f("another configuration", false)
	v.publish(t, "5", map[string]string{"config.yaml": text})
	f("no secret", false)
	v.publish(t, "6", nil)
	f("no file at all", false)
	v.publish(t, "7", map[string]string{"config.yaml": text, "secret": ""})
	f("an empty secret", false)
	v.publish(t, "8", map[string]string{"config.yaml": text, "secret": secret})
	f("the first ones again", true)
}

func TestReload(t *testing.T) {
	v := volume{t.TempDir()}
	text := pepperedBy(v.path("secret"))
	v.publish(t, "1", map[string]string{"config.yaml": text, "secret": "0123456789abcdef"})
	_, read, err := LoadSources(v.path("config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	round := 1
	f := func(files map[string]string, want, trouble string) {
		t.Helper()
		round++
		v.publish(t, strconv.Itoa(round), files)
		c, again, err := read.Reload()
		if !again.Equal(again.Look()) {
			t.Errorf("%v: what was read is not what is there", files)
		}
		if got := errorText(err); !strings.Contains(got, trouble) || (err == nil) != (trouble == "") {
			t.Errorf("%v: got %v, want %q", files, err, trouble)
		}
		if err == nil && (c.Keys.Pepper.Reveal() != want || c.Admin.Token.Reveal() != want) {
			t.Errorf("%v: pepper %q, token %q, want %q", files, c.Keys.Pepper.Reveal(), c.Admin.Token.Reveal(), want)
		}
		read = again
	}
	f(map[string]string{"config.yaml": text, "secret": "fedcba9876543210\n"}, "fedcba9876543210", "")
	f(map[string]string{"config.yaml": text, "secret": "short"}, "", "keys.pepper: ")
	f(map[string]string{"config.yaml": text}, "", "no such file")
	f(map[string]string{"config.yaml": "keys: ["}, "", "not valid YAML")
	f(nil, "", "configuration: stat ")
	f(map[string]string{"config.yaml": text, "secret": "a-pepper-of-some-length"}, "a-pepper-of-some-length", "")
}

// TestFileIsReadOnce refers to one file from two options while somebody writes
// it: both have the same, and that is what was noted.
func TestFileIsReadOnce(t *testing.T) {
	folder := t.TempDir()
	path, secret := filepath.Join(folder, "config.yaml"), filepath.Join(folder, "secret")
	contents := map[string][]string{path: {pepperedBy(secret)}, secret: {"the-first-of-the-two", "the-second-of-the-two"}}
	c, read, err := load(path, func(path string) ([]byte, error) {
		text := contents[path][0]
		contents[path] = contents[path][1:]
		return []byte(text), os.WriteFile(path, []byte(text), 0o600)
	})
	if err != nil || c.Keys.Pepper != c.Admin.Token || c.Keys.Pepper.Reveal() != "the-first-of-the-two" {
		t.Fatalf("%+v, %v", c, err)
	}
	if !read.Equal(read.Look()) {
		t.Error("what was noted is not what was read")
	}
}

// TestWhatIsReadOnlyOnce starts with a pipe or a device: it is neither looked at
// again nor waited for.
func TestWhatIsReadOnlyOnce(t *testing.T) {
	c, read, err := LoadSources(os.DevNull)
	if err != nil || c == nil {
		t.Fatal(err)
	}
	if !read.Look().Equal(read) {
		t.Error("a device has changed")
	}
	const want = "configuration: " + os.DevNull + ": not a regular file: what is read only once cannot be reloaded"
	if _, _, err := read.Reload(); errorText(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNeedsRestart(t *testing.T) {
	const before = `
server: {listen: ":1"}
store: {redis: {addresses: []}}
providers:
  p: {contract: openai, endpoints: [{url: "https://p.example/v1", api_keys: [one]}]}
models:
  m: {targets: [{provider: p}]}
prices: [{model: m, input: "1", output: "1"}]
limits: {default: {requests_per_minute: 5}, max_keys: 10}
`
	parse := func(text string) *Config {
		t.Helper()
		c, err := Parse("config.yaml", []byte(text), noEnvironment())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	f := func(from, to, want string) {
		t.Helper()
		if !strings.Contains(before, from) {
			t.Fatalf("there is no %q to replace", from)
		}
		got := parse(before).NeedsRestart(parse(strings.ReplaceAll(before, from, to)))
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%q for %q needs a restart for %q, want %q", to, from, text, want)
		}
	}
	f("", "", "")
	// What a reload brings into force.
	f("api_keys: [one]", "api_keys: [two]", "")
	f("p.example", "q.example", "")
	f("  m: {targets", "  n: {targets: [{provider: p}]}\n  m: {targets", "")
	f(`input: "1"`, `input: "2"`, "")
	f("prices: ", "costs: [{provider: p, model: m, input: '1', output: '1'}]\nprices: ", "")
	f("requests_per_minute: 5", "requests_per_minute: 6, burst: 2, tokens_per_minute: 1000, concurrent: 3", "")
	f("max_keys: 10", "max_keys: 10, shadow: true, max_completion_tokens: 4096, max_replicas: 3", "")
	// The same in other words.
	f(`server: {listen: ":1"}`, `server: {listen: ":1", drain_timeout: 5m}`, "")
	f("store: {redis: {addresses: []}}", "store: {}", "")
	f("store: ", "usage: {sync: strict, max_journal: 4096MiB, keep_shipped: 60m}\nstore: ", "")
	// What only a start obeys.
	f(`listen: ":1"`, `listen: ":2"`, "server")
	f("store: ", "admin: {token: 0123456789abcdef}\nstore: ", "admin")
	f("store: ", "data_dir: /elsewhere\nstore: ", "data_dir")
	f("store: ", "keys: {pepper: 0123456789abcdef}\nstore: ", "keys")
	f("addresses: []", `addresses: ["redis:6379"]`, "store")
	f("store: ", "usage: {sync: relaxed}\nstore: ", "usage")
	f("max_keys: 10", "max_keys: 11", "limits.max_keys")
	f("store: ", "telemetry: {log_level: debug}\nstore: ", "telemetry")
	f(`listen: ":1"}`, `listen: ":2"}`+"\ntelemetry: {log_level: debug}\nadmin: {token: 0123456789abcdef}", "server, admin, telemetry")
}
