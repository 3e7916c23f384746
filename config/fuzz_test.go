package config

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: any text gives an error or a configuration that validates; the
// schema accepts whatever the loader does.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "{}", "---\nserver:\n", "data_dir: x\n...\n", "? a\n: b\n", "a: &b {}\nc: *b\n", "%YAML 1.2\n---\n",
		"server: {listen: ':1', max_event: 64KiB}\nadmin:\n  token: |\n    0123456789abcdef\n",
		"limits: {default: {requests_per_minute: ${N:-5}}}\n", "data_dir: '${file:/x}$$'\n",
		"prices:\n- {model: m, from: 2026-01-01, input: \"0.10\", output: 1}\n", "\ufeffserver: ~\r\n", "a: [\n", "data_dir: \"\\x\"\n",
		"telemetry: {sample_ratio: 1e-1}\n", "telemetry: {sample_ratio: 1.0e-99999}\n", "server: {max_event: +64KiB}\n", "server: {max_event: \"64KiB\\u00a0\"}\n",
		"providers: {p: {endpoints: [{url: 'https://x.example', api_keys: [k]}], contract: theturbo}}\n" +
			"models: {m: {targets: [{provider: p, model: gemini-2.0-flash}]}}\nprices: [{model: m, input: '-0', output: 1}]\n",
		secretive,
	} {
		f.Add(text)
	}
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, text string) {
		env := Environment{
			Lookup:   func(name string) (string, bool) { return name, len(name) != 1 },
			ReadFile: func(path string) ([]byte, error) { return []byte(path), nil },
		}
		c, err := Parse("config.yaml", []byte(text), env)
		if err != nil {
			if c != nil || err.Error() == "" {
				t.Fatalf("an error must come alone and say something: %v, %v", c, err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("an accepted configuration does not validate: %v", err)
		}
		again, err := Parse("config.yaml", []byte(text), env)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("the same text gives something else: %v %s", err, cmp.Diff(c, again))
		}
		if document, err := parsed(t, text); err == nil {
			if err := schema.Validate(document); err != nil {
				t.Fatalf("the schema refuses what the loader accepts: %v", err)
			}
		}
	})
}
