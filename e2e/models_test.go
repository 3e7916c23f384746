package e2e

import (
	"slices"
	"testing"
)

// TestModels lists and shows the models of the configuration: those that the
// key may use, and no others.
func TestModels(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	check := func(models string, may, mayNot []string) {
		t.Helper()
		flags := []string{}
		if models != "" {
			flags = append(flags, "--models", models)
		}
		c := f.call(t, f.issue(t, flags...).Secret)
		page, err := c.client.Models.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, m := range page.Data {
			listed = append(listed, m.ID)
		}
		slices.Sort(listed)
		if !slices.Equal(listed, may) {
			t.Errorf("a key for %q lists %q, want %q", models, listed, may)
		}
		for _, name := range may {
			if m, err := c.client.Models.Get(t.Context(), name); err != nil || m.ID != name || m.Object != "model" {
				t.Errorf("a key for %q: %s is %+v, %v", models, name, m, err)
			}
		}
		for _, name := range mayNot {
			_, err := c.client.Models.Get(t.Context(), name)
			isRefusal(t, err, refused{404, "invalid_request_error", "model_not_found", "model"})
			c.plain(t.Context(), ask(name, "hello")).refused(t, refused{404, "invalid_request_error", "model_not_found", "model"})
		}
	}
	all := []string{"fourth", "gemini-2.0-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-flash", "in-turn"}
	check("", all, []string{"gpt-5", "gemini-2.5-flash", "gemini-flash2"})
	check("gemini-2.*", all[1:3], []string{"fourth", "gemini-3-pro-preview", "gemini-flash", "gemini-2.5-flash"})
	check("gemini-flash,fourth", []string{"fourth", "gemini-flash"}, []string{"gemini-2.0-flash", "gemini-2.5-flash-lite"})
	check("nothing-of-the-kind", nil, all)
	if asked := f.providers.Truth(); len(asked) != 0 {
		t.Errorf("%d requests were sent upstream, want none", len(asked))
	}
}
