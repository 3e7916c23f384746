package upstream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// goodConfig is the documented example.
const goodConfig = `
providers:
  starmagic:
    contract: starmagic
    stream_usage: inject
    endpoints: [{url: https://api.starmagic.ai/v1, api_keys: [sk-star], weight: 1}]
  theturbo:
    contract: theturbo
    endpoints: [{url: https://gateway.theturbo.ai/v1, api_keys: [sk-turbo]}]
  evolink:
    contract: evolink
    endpoints: [{url: https://api.evolink.ai/v1/, api_keys: [""]}]
models:
  gemini-2.0-flash: {targets: [{provider: theturbo}]}
  gemini-flash:
    max_attempts: 2
    targets:
      - {provider: starmagic, model: gemini-2.5-flash-lite, weight: 3}
      - {provider: theturbo, model: gemini-2.0-flash}
      - {provider: evolink, model: gemini-3-pro-preview, tier: 2}
    timeouts: {connect: 3s, first_token: 60s, answer: 120s, idle: 45s, total: 15m}
`

func TestConfigIsRead(t *testing.T) {
	// The gateway's configuration inlines this one at its top level.
	var whole struct {
		Listen string `yaml:"listen"`
		Config `yaml:",inline"`
	}
	if err := yaml.UnmarshalWithOptions([]byte("listen: :8080\n"+goodConfig), &whole, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := whole.Validate(); err != nil {
		t.Fatal(err)
	}
	want := ModelConfig{
		MaxAttempts: 2,
		Targets: []TargetConfig{
			{Provider: "starmagic", Model: "gemini-2.5-flash-lite", Weight: 3},
			{Provider: "theturbo", Model: "gemini-2.0-flash"},
			{Provider: "evolink", Model: "gemini-3-pro-preview", Tier: 2},
		},
		Timeouts: Timeouts{3 * time.Second, time.Minute, 2 * time.Minute, 45 * time.Second, 15 * time.Minute},
	}
	if diff := cmp.Diff(want, whole.Models["gemini-flash"]); diff != "" {
		t.Error(diff)
	}
	if got := whole.Providers["starmagic"].Endpoints[0].APIKeys[0].Reveal(); got != "sk-star" {
		t.Errorf("api_keys[0] = %q", got)
	}
	if got := (Timeouts{}).withDefaults(); got != want.Timeouts {
		t.Errorf("default time-outs %v, want the documented ones %v", got, want.Timeouts)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default configuration is refused: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got := "no error"
		if err := parse(t, text).Validate(); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%s\n%s", strings.TrimSpace(text), diff)
		}
		if _, err := NewTable(parse(t, text), TableOptions{}); err == nil {
			t.Errorf("NewTable takes %s", text)
		}
	}
	f(`providers: {p: {contract: gemini}}`,
		`providers.p.contract: must be starmagic, theturbo, evolink or openai, got "gemini"`,
		`providers.p.endpoints: must list at least one endpoint`)
	f(`providers: {"my provider": {contract: openai}}`,
		`providers: "my provider" is not a provider name: use 1 to 64 letters, digits and any of . _ - : / @ +, beginning with a letter or a digit`)
	f(`providers: {p: {contract: openai, stream_usage: always, endpoints: [{url: "https://h/v1"}]}}`,
		`providers.p.stream_usage: must be inject, pass or never, got "always"`)
	f(`providers: {p: {contract: openai, on_disconnect: wait, drain_time: -1s, drain_tokens: -1, endpoints: [{url: "https://h/v1"}]}}`,
		`providers.p.on_disconnect: must be cancel or drain, got "wait"`,
		`providers.p.drain_time: must be between 0s and 24h0m0s, got -1s`,
		`providers.p.drain_tokens: must be between 0 and 10000000, got -1`)
	f(`providers: {p: {contract: theturbo, stream_usage: inject, endpoints: [{url: "https://h/v1"}]}}`,
		`providers.p.stream_usage: must not be inject: the theturbo contract does not document stream_options; use never, or leave it out and say that the provider takes it: contract: {base: theturbo, stream_usage: inject}`)
	f(`providers: {p: {contract: evolink, stream_usage: inject, endpoints: [{url: "https://h/v1"}]}}`,
		`providers.p.stream_usage: must not be inject: the evolink contract does not document stream_options; use never, or leave it out and say that the provider takes it: contract: {base: evolink, stream_usage: inject}`)
	f(`providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", weight: -1}, {url: "https://g/v1", weight: 1000001}]}}`,
		`providers.p.endpoints[0].weight: must be between 0 and 1000000, got -1`,
		`providers.p.endpoints[1].weight: must be between 0 and 1000000, got 1000001`)
	f(`providers: {p: {contract: openai, endpoints: [{url: "https://h/v1", api_keys: [abc, "", "x y", abc]}, {url: "https://h/v1/", api_keys: [abc]}]}}`,
		`providers.p.endpoints[0].api_keys[2]: must be printable ASCII without spaces; does its file end with a line break?`,
		`providers.p.endpoints[0].api_keys[3]: is the same key for the same url as providers.p.endpoints[0].api_keys[0]`,
		`providers.p.endpoints[1].api_keys[0]: is the same key for the same url as providers.p.endpoints[0].api_keys[0]`)

	const provider = "providers: {p: {contract: openai, endpoints: [{url: 'https://h/v1', api_keys: [k]}]}}\n"
	f(provider+`models: {m: {}}`,
		`models.m.targets: must list at least one target`)
	f(provider+`models: {"a,b": {targets: [{provider: p}]}, "g*": {targets: [{provider: p}]}}`,
		`models: "a,b" is not a model name: use 1 to 128 letters, digits and any of . _ - : / @ +, beginning with a letter or a digit`,
		`models: "g*" is not a model name: use 1 to 128 letters, digits and any of . _ - : / @ +, beginning with a letter or a digit`)
	f(provider+`models: {m: {targets: [{provider: q}]}}`,
		`models.m.targets[0].provider: "q" is not one of providers`)
	f(provider+`models: {m: {targets: [{provider: p, model: "a b", weight: -1, tier: -2}]}}`,
		`models.m.targets[0].weight: must be between 0 and 1000000, got -1`,
		`models.m.targets[0].tier: must be between 0 and 1000000, got -2`,
		`models.m.targets[0].model: "a b" is not a model name: use 1 to 256 letters, digits and any of . _ - : / @ +, beginning with a letter or a digit`)
	f(provider+`models: {m: {targets: [{provider: p}, {provider: p, model: other}, {provider: p, model: m, tier: 2}]}}`,
		`models.m.targets[2]: is the same provider and model as targets[0]; use weight instead`)
	f(provider+`models: {m: {max_attempts: -1, targets: [{provider: p}]}, n: {max_attempts: 11, targets: [{provider: p}]}}`,
		`models.m.max_attempts: must be between 0 and 10, got -1`,
		`models.n.max_attempts: must be between 0 and 10, got 11`)
	f(provider+`models: {m: {targets: [{provider: p}], timeouts: {connect: -1s, first_token: 25h, answer: -2s, idle: -3s, total: 1000h}}}`,
		`models.m.timeouts.connect: must be a duration between 0s and 24h such as 30s, got -1s`,
		`models.m.timeouts.first_token: must be a duration between 0s and 24h such as 30s, got 25h0m0s`,
		`models.m.timeouts.answer: must be a duration between 0s and 24h such as 30s, got -2s`,
		`models.m.timeouts.idle: must be a duration between 0s and 24h such as 30s, got -3s`,
		`models.m.timeouts.total: must be a duration between 0s and 24h such as 30s, got 1000h0m0s`)
	f(manyCandidates(65), `models.m.targets: make 65 candidates (endpoints times keys); at most 64 fit into one model`)
}

// manyCandidates is a configuration of one model with n candidates.
func manyCandidates(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key%d", i)
	}
	return "providers: {p: {contract: openai, endpoints: [{url: 'https://h/v1', api_keys: [" + strings.Join(keys, ", ") +
		"]}]}}\nmodels: {m: {targets: [{provider: p}]}}"
}

func TestAsManyCandidatesAsFit(t *testing.T) {
	m := model(t, build(t, manyCandidates(64)))
	seen := make(map[*Endpoint]bool)
	for range 10_000 {
		a := must(t, m)
		finish(a, OutcomeOK)
		seen[a.Endpoint] = true
	}
	if len(seen) != 64 {
		t.Errorf("%d of 64 candidates are ever chosen", len(seen))
	}
}

func TestEndpointURL(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		got := ""
		if u, err := parseBaseURL(raw); err != nil {
			got = err.Error()
		} else {
			whole, _ := newWire(u, "k")(false)
			got = whole.String()
		}
		if got != want {
			t.Errorf("%q gives %q, want %q", raw, got, want)
		}
	}
	f("https://api.example.com/v1", "https://api.example.com/v1/chat/completions")
	f("https://api.example.com/v1/", "https://api.example.com/v1/chat/completions")
	f("https://api.example.com", "https://api.example.com/chat/completions")
	f("http://10.0.0.7:8000/v1", "http://10.0.0.7:8000/v1/chat/completions")
	f("http://[::1]:9090/starmagic/v1", "http://[::1]:9090/starmagic/v1/chat/completions")
	f("http://[fe80::1%25eth0]:9090/v1", "http://[fe80::1%25eth0]:9090/v1/chat/completions")
	f("http://_tollgate.svc-1.cluster.local/v1", "http://_tollgate.svc-1.cluster.local/v1/chat/completions")
	f("HTTPS://api.example.com/v1", "https://api.example.com/v1/chat/completions")

	f("", "must be an address such as https://api.example.com/v1")
	f("api.example.com/v1", "must be an address such as https://api.example.com/v1")
	f("localhost:8080/v1", "must be an address such as https://api.example.com/v1")
	f("http:///v1", "must be an address such as https://api.example.com/v1")
	f("http://:8080/v1", "must be an address such as https://api.example.com/v1")
	f("http://h:0/v1", "must be an address such as https://api.example.com/v1")
	f("http://h:65536/v1", "must be an address such as https://api.example.com/v1")
	f("http://h:http/v1", "must be an address such as https://api.example.com/v1")
	f("https://user:secret@h/%zz", "must be an address such as https://api.example.com/v1")
	const host = "must name its host by letters, digits and any of . - _ (international names in their xn-- form), or by an IP address (IPv6 in brackets)"
	f("http://[::%25\x89]/v1", host)
	f("http://[::1%25]/v1", "must be an address such as https://api.example.com/v1")
	f("http://[10.0.0.7]/v1", "must be an address such as https://api.example.com/v1")
	f("http://[x]/v1", "must be an address such as https://api.example.com/v1")
	f("http://h%20h/v1", "must be an address such as https://api.example.com/v1")
	f("http://bücher.example/v1", host)
	f("http://h%C3%BC/v1", host)
	f("http://h!h/v1", host)
	f("http://[::1%25a%25b]/v1", host)
	f("http://h|h/v1", "must be an address such as https://api.example.com/v1")
	f("ftp://h/v1", `must begin with http:// or https://, got "ftp"`)
	f("file:///etc/passwd", "must be an address such as https://api.example.com/v1")
	f("https://user:secret@h/v1", "must not contain a user name or password; credentials go into api_keys")
	f("https://@h/v1", "must not contain a user name or password; credentials go into api_keys")
	f("https://h/v1?key=secret", "must not have a query or a fragment; credentials go into api_keys")
	f("https://h/v1?", "must not have a query or a fragment; credentials go into api_keys")
	f("https://h/v1#", "must not have a query or a fragment; credentials go into api_keys")
	f("https://h/v1#secret", "must not have a query or a fragment; credentials go into api_keys")
	f("https://h/v1/chat/completions", "must be the base address, without /chat/completions at its end")
	f("https://h/v1/chat/completions/", "must be the base address, without /chat/completions at its end")
}

// FuzzEndpointURL checks that whatever is accepted can be asked safely, and
// that no message repeats what may be a secret.
func FuzzEndpointURL(f *testing.F) {
	for _, seed := range []string{
		"https://api.example.com/v1", "http://[::1]:80/", "https://user:secret@h/v1", "https://h/v1?key=secret",
		"//h/v1", "http://h:99999", "https://h/%2e%2e/v1", "http://[fe80::1%25eth0]/v1", "http://[::%25\x89]", "http:h", "https://h/v1//",
		"FTP://h/v1", "//h:// or https://", "https://h/v1/chat/completions",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseBaseURL(raw)
		if err != nil {
			const shows = "must begin with http:// or https://, got %q"
			scheme, _, _ := strings.Cut(raw, ":")
			fixed := []error{errURLMissing, errURLHost, errURLUserinfo, errURLQuery, errURLPath}
			if got := err.Error(); !slices.Contains(fixed, err) && got != fmt.Sprintf(shows, strings.ToLower(scheme)) && got != fmt.Sprintf(shows, "") {
				t.Errorf("%q is refused by %q, which shows more than its scheme", raw, err)
			}
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is accepted as %#v", raw, u)
		}
		if again, err := parseBaseURL(u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q is shown as %q, which reads as %v, %v", raw, u, again, err)
		}
		if whole := chatCompletions(u); !strings.HasSuffix(whole.Path, "/chat/completions") || whole.Host != u.Host {
			t.Errorf("%q is asked at %q", raw, whole)
		}
	})
}

func TestEndpointKnowsItsCredential(t *testing.T) {
	e := &Endpoint{reveals: newReveals("sk-a+b/c")}
	f := func(text string, want bool) {
		t.Helper()
		if got := e.Reveals(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
	f("sk-a+b/c", true)
	f(`{"id":"sk-a+b/c"}`, true)
	f("key=sk-a%2Bb%2Fc&x", true)
	f("sk-a+b%2Fc", true)
	f("sk-a", false)
	f("", false)
	if (&Endpoint{}).Reveals("anything") {
		t.Error("an endpoint that is off has a credential")
	}
}
