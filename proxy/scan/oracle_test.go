package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// failer is what the oracles need of a test, be it of testing or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// request is the same body as encoding/json reads it: the last of duplicate
// keys, in any case. Parse must have refused whatever makes a difference.
type request struct {
	Model         string `json:"model"`
	Stream        *bool  `json:"stream"`
	StreamOptions *struct {
		IncludeUsage *bool `json:"include_usage"`
	} `json:"stream_options"`
	N                   *int64 `json:"n"`
	MaxTokens           *int64 `json:"max_tokens"`
	MaxCompletionTokens *int64 `json:"max_completion_tokens"`
	ResponseFormat      *struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Stop     any       `json:"stop"`
	Messages []message `json:"messages"`
}

type message struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	ToolCalls json.RawMessage `json:"tool_calls"`
}

type contentPart struct {
	Type     string  `json:"type"`
	Text     *string `json:"text"`
	ImageURL *struct {
		URL string `json:"url"`
	} `json:"image_url"`
	InputAudio *struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
}

// checkParse holds one body against encoding/json.
func checkParse(t failer, body []byte) {
	t.Helper()
	var d Document
	before := bytes.Clone(body)
	err := d.Parse(body)
	if !bytes.Equal(body, before) {
		t.Fatalf("Parse changed the body %q", before)
	}
	if err != nil {
		checkRefusal(t, body, err)
		return
	}
	if !json.Valid(body) {
		t.Fatalf("accepted, but encoding/json refuses %q", body)
	}
	checkMembers(t, &d)
	checkRequest(t, &d)
	checkNeeds(t, &d)
}

var safeParamForm = regexp.MustCompile(`^[A-Za-z0-9_.\-\[\]]{0,64}$`)

func checkRefusal(t failer, body []byte, err error) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("%q: %v is not an *Error", body, err)
	}
	if !safeParamForm.MatchString(refusal.Param) || refusal.Offset < 0 || refusal.Offset > len(body) || refusal.Reason == "" {
		t.Fatalf("%q: unsafe or incomplete refusal %+v", body, refusal)
	}
	if refusal.Code != CodeInvalidJSON || !json.Valid(body) {
		return
	}
	for _, stricter := range []string{
		"a string is not valid UTF-8",
		"a surrogate escape stands alone",
		"a number is out of range",
		"a number is longer than 128 bytes",
	} {
		if strings.HasSuffix(refusal.Reason, stricter) {
			return
		}
	}
	t.Fatalf("refused as %q, but it is valid JSON: %q", refusal.Reason, body)
}

// checkMembers compares names, kinds and spans with encoding/json's.
func checkMembers(t failer, d *Document) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal(d.Body, &want); err != nil {
		t.Fatalf("%q: %v", d.Body, err)
	}
	got := map[string]json.RawMessage{}
	for i, m := range d.Members {
		got[m.Name] = d.Raw(m)
		var key string
		if err := json.Unmarshal(d.Body[m.Key.Start:m.Key.End], &key); err != nil || key != m.Name {
			t.Fatalf("%q: the key of member %d reads %q, want %q", d.Body, i, key, m.Name)
		}
		if kindOf(d.Raw(m)[0]) != m.Kind {
			t.Fatalf("%q: member %q has kind %d", d.Body, m.Name, m.Kind)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != len(d.Members) {
		t.Fatalf("%q: members differ (-encoding/json +scan):\n%s", d.Body, diff)
	}
}

func checkRequest(t failer, d *Document) {
	t.Helper()
	var want request
	if err := json.Unmarshal(d.Body, &want); err != nil {
		t.Fatalf("%q: %v", d.Body, err)
	}
	isTrue := func(b *bool) bool { return b != nil && *b }
	or := func(n *int64, otherwise int64) int64 {
		if n == nil {
			return otherwise
		}
		return *n
	}
	format := ""
	if want.ResponseFormat != nil {
		format = want.ResponseFormat.Type
	}
	stops := 0
	switch stop := want.Stop.(type) {
	case string:
		stops = 1
	case []any:
		stops = len(stop)
	}
	switch {
	case d.Model != want.Model:
		t.Fatalf("%q: model %q, encoding/json reads %q", d.Body, d.Model, want.Model)
	case d.Stream != isTrue(want.Stream),
		d.IncludeUsage != (want.StreamOptions != nil && isTrue(want.StreamOptions.IncludeUsage)),
		d.N != or(want.N, 1),
		d.MaxTokens != max(or(want.MaxTokens, 0), or(want.MaxCompletionTokens, 0)),
		d.ResponseFormat != format,
		d.Stops != stops:
		t.Fatalf("%q: scan reads %s, encoding/json %+v", d.Body, summary(d), want)
	}
	checkMessages(t, d, want.Messages)
}

// checkMessages compares roles, texts and media.
func checkMessages(t failer, d *Document, messages []message) {
	t.Helper()
	var roles Roles
	var texts, urls []string
	for _, m := range messages {
		roles |= roleOf([]byte(m.Role))
		if text := ""; json.Unmarshal(m.Content, &text) == nil && text != "" {
			texts = append(texts, text)
		}
		if calls := m.ToolCalls; len(calls) > 0 && string(calls) != "null" {
			texts = append(texts, string(appendUnescaped(nil, calls)))
		}
		var parts []contentPart
		if err := json.Unmarshal(m.Content, &parts); err != nil {
			continue
		}
		for _, p := range parts {
			if p.Text != nil && *p.Text != "" {
				texts = append(texts, *p.Text)
			}
			if p.ImageURL != nil {
				urls = append(urls, p.ImageURL.URL)
			}
			if p.InputAudio != nil {
				urls = append(urls, p.InputAudio.Data)
			}
		}
	}
	var gotTexts, gotURLs []string
	for _, s := range d.Texts {
		gotTexts = append(gotTexts, string(d.AppendText(nil, s)))
	}
	for _, m := range d.Media {
		if m.Kind != OtherPart {
			gotURLs = append(gotURLs, string(d.AppendText(nil, m.URL)))
		}
	}
	// Within one object the body's order decides, and the struct's here.
	for _, list := range [][]string{texts, urls, gotTexts, gotURLs} {
		slices.Sort(list)
	}
	if roles != d.Roles || !slices.Equal(texts, gotTexts) || !slices.Equal(urls, gotURLs) {
		t.Fatalf("%q\nscan reads          %s %q %q\nencoding/json reads %s %q %q", d.Body, d.Roles, gotTexts, gotURLs, roles, texts, urls)
	}
}
