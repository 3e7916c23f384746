package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tollgate/simulator"

	"github.com/openai/openai-go/v3/option"
)

// promptCanary is a prompt that looks different wherever it is escaped.
const promptCanary = "xylophone canary/of the+prompt"

// TestSecretsStaySecret runs requests that go well and requests that go wrong in
// every way, with the most talkative log there is. Afterwards no secret stands
// in the log, in an error's body or in the stored files, and no prompt either.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	f := newFleet(t, environment{"LOG_LEVEL": "debug"})
	key := f.issue(t)
	c := f.call(t, key.Secret)
	const canary = "xylophone-canary-in-the-prompt"
	var bodies strings.Builder
	run := func(model string, options ...option.RequestOption) {
		t.Helper()
		for _, a := range []*answer{c.plain(t.Context(), ask(model, canary), options...), c.stream(t.Context(), ask(model, canary), options...)} {
			if a.err != nil {
				bodies.WriteString(a.wire.String())
			}
		}
	}
	run("gemini-flash")
	run("gemini-flash", option.WithHeader("Authorization", "bearer "+key.Secret))
	run("gpt-5")
	run("gemini-flash", option.WithJSONSet("temperature", canary))
	run("gemini-flash", option.WithJSONSet(canary, canary))
	run("gemini-flash", option.WithRequestBody("application/json", []byte(`{"model":"gemini-flash","messages":[{"role":"user","content":"`+canary)))
	run("gemini-2.0-flash", option.WithJSONSet("seed", 1))
	run("gemini-flash", option.WithQuery("key", key.Secret))
	run("gemini-flash", option.WithQuery("prompt", canary), option.WithHeader("X-Anything", key.Secret))
	run("gemini-flash", option.WithHeader("Authorization", "Bearer "+key.Secret+"x"))
	run("gemini-flash", option.WithHeader("Authorization", "Basic "+key.Secret))
	run("gemini-flash", option.WithBaseURL(f.url+"/"+key.Secret+"/"+canary))
	faults := []simulator.Fault{
		{Name: "key in every field", Kind: simulator.Respond, Status: 400, Body: strings.ReplaceAll(`{"error":{"message":"KEY","type":"KEY","param":"KEY","code":"KEY"}}`, "KEY", providerKey)},
		{Name: "stack trace", Kind: simulator.Respond, Status: 500, Body: "panic: " + providerKey + " asked " + canary},
		{Name: "redirect", Kind: simulator.Respond, Status: 302, Header: map[string]string{"Location": "https://" + providerKey + ".example/" + canary}},
		{Name: "error in a 200", Kind: simulator.Respond, Body: `{"error":{"message":"` + providerKey + `"}}`},
		{Name: "no answer", Kind: simulator.Drop},
		{Name: "half an answer", Kind: simulator.Cut, AtByte: 1500},
		{Name: "key refused", Kind: simulator.Respond, Status: 401, Body: `{"error":{"message":"Incorrect API key provided: ` + providerKey + `","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`}, // last: the credentials are in quarantine then
	}
	for _, fault := range faults {
		f.inject(t, fault)
		run("gemini-flash")
		f.providers.ClearFaults()
		for range 2 { // keeps the breakers closed
			run("gemini-2.5-flash-lite")
			run("gemini-2.0-flash")
			run("gemini-3-pro-preview")
		}
	}
	f.stop(t)
	struck := map[string]bool{}
	for _, e := range f.providers.Truth() {
		struck[e.Fault] = true
	}
	for _, fault := range faults {
		if !struck[fault.Name] {
			t.Errorf("the fault %q struck nobody", fault.Name)
		}
	}

	files := f.stored(t)
	search(t, map[string]string{"the log": f.stderr.String(), "the error bodies": bodies.String(), "the data folder": files},
		map[string]string{"the tenant's secret": key.Secret, "the provider's key": providerKey, "the prompt": canary})
}

// stored is every file of the data folder, one behind the other.
func (f *fleet) stored(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(f.dataDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all.Write(raw)
		if info, statErr := entry.Info(); statErr == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %s, want 0600", entry.Name(), info.Mode())
		}
		return err
	})
	if err != nil || !strings.Contains(all.String(), "acme") {
		t.Fatalf("%d bytes are stored, and no tenant in them (%v)", all.Len(), err)
	}
	return all.String()
}

// search looks for secrets, in every form, in places by their names.
func search(t *testing.T, places, secrets map[string]string) {
	t.Helper()
	for place, text := range places {
		if text == "" {
			t.Errorf("%s: nothing to look through", place)
		}
		for what, secret := range secrets {
			for _, form := range forms(secret) {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s: holds %s: ...%q...", place, what, text[max(0, at-200):min(len(text), at+len(form)+50)])
				}
			}
		}
	}
}

// forms are the ways in which a secret could be written down: plainly, escaped
// for a URL, in hexadecimal, and in base64 wherever in a longer text it may stand.
func forms(secret string) []string {
	hexadecimal := hex.EncodeToString([]byte(secret))
	list := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hexadecimal, strings.ToUpper(hexadecimal)}
	for shift := range 3 {
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		inner := whole[(shift*8+5)/6 : len(whole)-2] // without the characters that the neighbours have a part in
		list = append(list, inner, strings.NewReplacer("+", "-", "/", "_").Replace(inner))
	}
	slices.Sort(list)
	return slices.Compact(list) // most secrets look the same where they are escaped
}

// TestSearchFinds hides a secret in each way that the tests look for.
func TestSearchFinds(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{providerKey, redisPassword, unknownSecret(), promptCanary} {
		for before := range 4 {
			text := strings.Repeat("?", before) + secret + "?>"
			for name, hidden := range map[string]string{
				"plain": text, "hex": hex.EncodeToString([]byte(text)), "HEX": fmt.Sprintf("%X", text), "query": url.QueryEscape(text), "path": url.PathEscape(text),
				"base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64 without padding": base64.RawStdEncoding.EncodeToString([]byte(text)),
				"base64 for URLs": base64.URLEncoding.EncodeToString([]byte(text)), "base64 for URLs without padding": base64.RawURLEncoding.EncodeToString([]byte(text)),
			} {
				if !slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(hidden, form) }) {
					t.Errorf("%s: %q is not found in %q", name, secret, hidden)
				}
			}
		}
	}
}
