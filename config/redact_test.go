package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// marker stands in for a secret that no error may show.
const marker = "Open5esame"

// secretive is a file whose secrets are written in every style.
const secretive = `server:
  listen: ":8080"   # not Open5esame
admin: {listen: "127.0.0.1:8081", token: "Open5esame"}
keys:
  pepper: >-
    Open5esame
    Open5esame
providers:
  starmagic: {contract: starmagic, endpoints: [{weight: 1, api_keys: [Open5esame, 'Open5esame'], url: "https://a"}]}
  theturbo:
    contract: theturbo
    endpoints:
    - api_keys:
      - Open5esame
      - "Open5esame"
      weight: 1
      url: https://b
    - url: https://c
      api_keys: [
        "Open5esame",
        Open5esame ]
# api_keys: [Open5esame]
`

// Whatever typing mistake is made around a secret, the error does not show it.
func TestNoErrorShowsASecret(t *testing.T) {
	if _, err := Parse("config.yaml", []byte(secretive), noEnvironment()); err == nil || !strings.Contains(err.Error(), "same key") {
		t.Fatalf("the file should be refused only for the same key given twice, got %v", err)
	}
	// A mistake may turn the secret itself into a name; names are shown.
	named := regexp.MustCompile(marker + `\w*["']?\s*:`)
	check := func(text string) {
		_, err := Parse("config.yaml", []byte(text), noEnvironment())
		if err != nil && strings.Contains(err.Error(), marker) && !named.MatchString(text) {
			t.Fatalf("a secret is shown:\n%v\n\nin the file\n%s", err, text)
		}
	}
	for i := range len(secretive) {
		check(secretive[:i] + secretive[i+1:])
		for _, typed := range []string{"\t", "\n", "x", "{", "]", ":", "\"", "- ", "&", "${", ": "} {
			check(secretive[:i] + typed + secretive[i:])
		}
	}
}

func TestRedactedLine(t *testing.T) {
	r := newRedactor(reflect.TypeFor[Config]())
	f := func(line, want string) {
		t.Helper()
		if got, _ := r.line(line, 1); got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
	f(`server:`, `server:`)
	f(`  listen: ":8080"`, `  listen: ":8080"`)
	f(`  listen: ':8080`, `  listen: ':8080`)
	f(`  listen ":8080"`, `  listen [redacted]`)
	f(`  listen: ":${PORT:-8080}"`, `  listen: ":${PORT:-8080}"`)
	f(`  listen: ":8080" # comment`, `  listen: ":8080"`)
	f(`  token: abc`, `  token: [redacted]`)
	f(`  token:abc`, `  token:[redacted]`)
	f(`  token = abc`, `  token [redacted] [redacted]`)
	f(`  token: url: abc`, `  token: [redacted] [redacted]`)
	f(`{listen:${ "x", token: "abc"}`, `{listen:${ [redacted], token: [redacted]}`)
	f(`- {url: https://x/v1, api_keys: ["a", b], weight: 2}`, `- {url: https://x/v1, api_keys: [[redacted], [redacted]], weight: 2}`)
	f(`  - - abc`, `  - - [redacted]`)
	f(`  url: https://user:secret@x/v1`, `  url: https:[redacted]x/v1`)
	f(`  contract: sk-abcdefgh`, `  contract: [redacted]`)
	f(`  contract: theturbo`, `  contract: theturbo`)
	f(`  tokens: {listen: 4f3c2b1a90817263544f3c2b, url: "Zm9vYmFyYmF6cXV4cXV1eA=="}`, `  tokens: {listen: [redacted], url: "[redacted]"}`)
	f(`  contract: {base: theturbo, allow: [seed, top_k]}`, `  contract: {base: theturbo, allow: [[redacted], [redacted]]}`)
	f(`  url: x abc`, `  url: x [redacted]`)
	f(`  gemini-flash: {targets: [{provider: starmagic}]}`, `  gemini-flash: {targets: [{provider: starmagic}]}`)
	f(`{"admin": {"token": "a,b"}}`, `{"admin": {"token": [redacted],[redacted]}}`)
}

func TestRedactedLineKeepsTheMark(t *testing.T) {
	r := newRedactor(reflect.TypeFor[Config]())
	f := func(line string, want string) {
		t.Helper()
		column := strings.Index(line, "^") + 1
		got, mark := r.line(strings.Replace(line, "^", "", 1), column)
		if got = got[:mark-1] + "^" + got[mark-1:]; got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
	f(`^listen: x`, `^listen: x`)
	f(`listen: ^x`, `listen: ^x`)
	f(`token: ^abcdefghijklmnopqrstuvwxyz`, `token: ^[redacted]`)
	f(`token: abc^def`, `token: ^[redacted]`)
	f(`{token: abcdefghijklmnopqrstuvwxyz, ^listen: 1}`, `{token: [redacted], ^listen: 1}`)
	f(`{token: a, listen: ^1}`, `{token: [redacted], listen: ^1}`)
	f(`listen: x # comm^ent`, `listen: x^`)
}

func TestTheRealSecretsAreKnown(t *testing.T) {
	r := newRedactor(reflect.TypeFor[Config]())
	for _, name := range []string{"token", "pepper", "api_keys"} {
		if public, known := r.public[name]; !known || public {
			t.Errorf("%s is not known as a secret", name)
		}
	}
}
