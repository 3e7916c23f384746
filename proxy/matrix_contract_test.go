package proxy

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"tollgate/proxy/scan"
	"tollgate/simulator"
	"tollgate/telemetry"
	"tollgate/upstream"

	"pgregory.net/rapid"
)

// The tests of this file hold the contracts, which are data, against the
// simulator, whose rules were read from the same pages by somebody else: what
// the gateway refuses the provider would have refused, and what the gateway sends
// the provider takes.

// rangesOf is a contract's range of a number; all numbers where it has none.
func rangeOf(c *upstream.Contract, p upstream.Param) (least, most float64) {
	for _, r := range c.Ranges {
		if r.Param == p {
			return r.Least, r.Most
		}
	}
	return math.Inf(-1), math.Inf(1)
}

// numberSamples are values of a number within its range, at its ends and beyond them.
func numberSamples(c *upstream.Contract, p upstream.Param, usual ...string) []string {
	samples := usual
	least, most := rangeOf(c, p)
	for _, end := range []float64{least, most} {
		if math.IsInf(end, 0) || math.Abs(end) > 1<<31 {
			continue
		}
		for _, at := range []float64{end - 1, end - 0.25, end, end + 0.25, end + 1} {
			if whole := at == math.Trunc(at); whole || !isWholeNumber(p) {
				samples = append(samples, fmt.Sprint(at))
			}
		}
	}
	return samples
}

func isWholeNumber(p upstream.Param) bool {
	return slices.Contains([]upstream.Param{
		upstream.ParamMaxTokens, upstream.ParamMaxCompletionTokens, upstream.ParamTopK, upstream.ParamN, upstream.ParamSeed, upstream.ParamTopLogprobs,
	}, p)
}

// everyContract are the three contracts that have a page.
func everyContract() map[simulator.Provider]*upstream.Contract {
	all := map[simulator.Provider]*upstream.Contract{}
	for _, p := range simulator.Providers() {
		all[p], _ = upstream.ContractByName(string(p))
	}
	return all
}

const someTool = `{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}`

// memberSamples are top-level members to ask with, for one parameter: what the
// contract documents, its ends, and what lies beyond.
func memberSamples(c *upstream.Contract, p upstream.Param) []string {
	name := p.String()
	values := func(all ...string) (members []string) {
		for _, v := range all {
			members = append(members, fmt.Sprintf("%q:%s", name, v))
		}
		return members
	}
	words := []string{"none", "minimal", "low", "medium", "high", "xhigh", "text", "json_object"}
	for _, w := range c.Words {
		words = append(words, w.List...)
	}
	switch p {
	case upstream.ParamModel, upstream.ParamMessages:
		return nil // in every body
	case upstream.ParamStream, upstream.ParamLogprobs:
		return values("true", "false", "null")
	case upstream.ParamStreamOptions:
		return []string{
			`"stream":true,"stream_options":{"include_usage":true}`, `"stream":true,"stream_options":{"include_usage":false}`,
			`"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}`, `"stream":true,"stream_options":{}`,
			`"stream_options":{"include_usage":true}`, `"stream":true,"stream_options":null`,
		}
	case upstream.ParamMaxTokens, upstream.ParamMaxCompletionTokens:
		return values(numberSamples(c, p, "1", "100", "65536", "null")...)
	case upstream.ParamTemperature, upstream.ParamTopP, upstream.ParamFrequencyPenalty, upstream.ParamPresencePenalty:
		return values(numberSamples(c, p, "0", "0.5", "1", "1.0", "1.5", "null")...)
	case upstream.ParamTopK, upstream.ParamN, upstream.ParamTopLogprobs:
		return values(numberSamples(c, p, "0", "1", "2", "5", "20", "21", "null")...)
	case upstream.ParamSeed:
		return values("7", "0", "-1", "null")
	case upstream.ParamStop:
		return values(`"a"`, `["a"]`, `["a","b"]`, `["a","b","c","d"]`, `["a","b","c","d","e"]`, `[]`, `""`, "null")
	case upstream.ParamResponseFormat:
		return append(values(`{"type":"json_object"}`, `{"type":"text"}`, `{"type":"grammar"}`, "null"),
			`"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}}`)
	case upstream.ParamReasoningEffort:
		quoted := []string{"null"}
		for _, w := range words {
			quoted = append(quoted, fmt.Sprintf("%q", w))
		}
		return values(quoted...)
	case upstream.ParamTools:
		return values("["+someTool+"]", "["+someTool+","+strings.ReplaceAll(someTool, `"f"`, `"g"`)+"]", `[{"type":"custom","custom":{"name":"c"}}]`, "[]", "null",
			`[{"type":"function","function":{"name":"f","strict":true,"parameters":{}}}]`)
	case upstream.ParamToolChoice:
		tools := `,"tools":[` + someTool + `]`
		return []string{
			`"tool_choice":"auto"` + tools, `"tool_choice":"none"` + tools, `"tool_choice":"required"` + tools, `"tool_choice":"auto"`,
			`"tool_choice":{"type":"function","function":{"name":"f"}}` + tools, `"tool_choice":null` + tools, `"tool_choice":{}` + tools,
			`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}` + tools,
		}
	case upstream.ParamExtraBody:
		return values(`{"google":{"cached_content":"c"}}`, `{"google":{"thinking_config":{"thinking_budget":1}}}`, `{"google":{"other":1}}`, `{"other":1}`, `{}`, "null", `{"google":null}`, `{"google":{"cached_content":null}}`, `{"x":null}`)
	}
	return values(`{"some":"thing"}`, "null") // only other services document it
}

const plainMessages = `"messages":[{"role":"user","content":"hello"}]`

// messageSamples are messages in every form that a contract documents, and in others.
func messageSamples(c *upstream.Contract) []string {
	samples := []string{plainMessages}
	for _, role := range []string{"system", "developer", "user", "assistant", "tool", "function", "narrator"} {
		extra := ""
		if role == "tool" {
			extra = `,"tool_call_id":"call_1"`
		}
		samples = append(samples, fmt.Sprintf(`"messages":[{"role":%q,"content":"hello"%s},{"role":"user","content":"go on"}]`, role, extra))
	}
	const call = `{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}`
	samples = append(samples,
		`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[`+call+`]},{"role":"tool","tool_call_id":"call_1","content":"12"}]`,
		`"messages":[{"role":"assistant","content":"x","tool_calls":null,"refusal":null},{"role":"user","content":"y","name":"ann"}]`,
		`"messages":[{"role":"user","content":null}]`,
		`"messages":[{"role":"user"}]`,
		`"messages":[{"role":"assistant","refusal":"no"},{"role":"user","content":"y"}]`,
		`"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[`+call+`]},{"role":"tool","tool_call_id":"call_1","content":"12"}]`,
		`"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"custom","custom":{"name":"n","input":"i"}}]},{"role":"tool","tool_call_id":"c","content":"12"}]`,
		`"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
	)
	mimes := append([]string{"image/png", "image/jpeg", "image/gif", "audio/wav", "video/mp4", "application/pdf"}, c.MediaTypes...)
	for _, mime := range mimes {
		mime = strings.ReplaceAll(mime, "*", "webp")
		samples = append(samples, imageMessages("data:"+mime+";base64,AAAA"))
	}
	for _, url := range []string{"https://host.example/cat.png", "http://host.example/cat.png", "gs://bucket/cat.png", "data:image/png,plain", "data:image;base64,AAAA", "DATA:image/PNG;Base64,AAAA"} {
		samples = append(samples, imageMessages(url))
	}
	return append(samples,
		`"messages":[{"role":"user","content":[{"type":"image_url","text":null,"image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]}]`,
		`"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]`,
		`"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"x"}}]}]`,
	)
}

func imageMessages(url string) string {
	return `"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"` + url + `"}}]}]`
}

// TestEveryParameter asks each provider, through the gateway, with every
// documented parameter, message and medium, within the documented bounds, at their
// ends and beyond. What is refused never arrives; what arrives is answered.
func TestEveryParameter(t *testing.T) {
	providers := simulator.New(simulator.Options{})
	running, err := providers.Start("127.0.0.1:0")
	must(t, err)
	defer running.Close(t.Context())
	transport := upstream.NewTransport(upstream.TransportOptions{})
	defer transport.Close()
	r := newRig(t, transport, rigOptions{memory: true, upstream: func(c *upstream.Config) {
		for _, p := range simulator.Providers() {
			provider := c.Providers[string(p)]
			provider.Endpoints = []upstream.EndpointConfig{{URL: running.URL() + "/" + string(p) + "/v1", APIKeys: []telemetry.Secret{"key"}}}
			c.Providers[string(p)] = provider
		}
	}})
	for p, c := range everyContract() {
		sent, refused := 0, 0
		for _, body := range everyBody(c, modelOf(p)) {
			providers.Reset()
			got := r.ask(body)
			arrived := len(providers.Truth())
			switch {
			case got.status == 200 && arrived == 1:
				sent++
			case got.status == 400 && arrived == 0:
				refused++
				if p.Accepts([]byte(body)) == nil {
					t.Errorf("%s takes what the gateway refuses:\n%s\n%s", p, body, got.body)
				}
			default:
				t.Errorf("%s: %d, %d arrived\n%s\n%s", p, got.status, arrived, body, got.body)
			}
		}
		if sent < 60 || refused < 20 {
			t.Errorf("%s: %d requests sent and %d refused prove little", p, sent, refused)
		}
	}
}

func modelOf(p simulator.Provider) string {
	switch p {
	case simulator.StarMagic:
		return "gemini-2.5-flash-lite"
	case simulator.TheTurbo:
		return "gemini-2.0-flash"
	}
	return "gemini-3-pro-preview"
}

// everyBody is a request for every sample of every parameter, and of the messages.
func everyBody(c *upstream.Contract, model string) []string {
	var bodies []string
	for p := upstream.ParamModel; p.String() != "unknown"; p++ {
		for _, member := range memberSamples(c, p) {
			bodies = append(bodies, fmt.Sprintf(`{"model":%q,%s,%s}`, model, plainMessages, member))
		}
	}
	for _, messages := range messageSamples(c) {
		bodies = append(bodies, fmt.Sprintf(`{"model":%q,%s}`, model, messages))
	}
	return bodies
}

// TestAnyRequest does the same for requests that ask for several things at once,
// over each provider by itself, with and without `unsupported: drop`.
func TestAnyRequest(t *testing.T) {
	contracts := everyContract()
	sent, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(simulator.Providers()).Draw(t, "provider")
		provider := &upstream.Provider{Contract: contracts[p], StreamUsage: contracts[p].StreamUsage}
		if rapid.Bool().Draw(t, "drop") {
			provider.Unsupported = upstream.UnsupportedDrop
		}
		// Any contract's samples, so that every provider is asked for what others document.
		of := contracts[rapid.SampledFrom(simulator.Providers()).Draw(t, "samples of")]
		body := someBody(t, of, modelOf(p))
		var d scan.Document
		if d.Parse([]byte(body)) != nil {
			refused++
			if p.Accepts([]byte(body)) == nil {
				t.Fatalf("%s takes what the scan refuses: %s", p, body)
			}
			return
		}
		x := &exchange{document: &d, fields: new(fields)}
		x.fields.read(&d)
		if lack, lacks := provider.Lacks(&x.fields.needs); lacks {
			refused++
			if p.Accepts([]byte(body)) == nil {
				t.Fatalf("%s takes what its contract lacks (%s): %s", p, lack.Param, body)
			}
			return
		}
		sent++
		version := x.rewriteFor(&upstream.Candidate{Provider: provider, Model: modelOf(p)})
		if bad := p.Accepts(version.body); bad != nil {
			t.Fatalf("%s refuses what it is sent: %v\n%s\n%s", p, bad, body, version.body)
		}
		if !json.Valid(version.body) {
			t.Fatalf("sent what is no JSON: %s", version.body)
		}
	})
	if sent < 10 || refused < 10 {
		t.Errorf("%d sent and %d refused prove little", sent, refused)
	}
}

// someBody is a request with up to four parameters.
func someBody(t *rapid.T, c *upstream.Contract, model string) string {
	members := []string{fmt.Sprintf(`"model":%q`, model), rapid.SampledFrom(messageSamples(c)).Draw(t, "messages")}
	names := map[string]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		p := upstream.Param(rapid.IntRange(int(upstream.ParamStream), int(upstream.ParamWebSearchOptions)).Draw(t, "param"))
		member := rapid.SampledFrom(memberSamples(c, p)).Draw(t, "member")
		twice := false
		for _, name := range namesIn(member) {
			twice = twice || names[name]
		}
		if twice {
			continue
		}
		for _, name := range namesIn(member) {
			names[name] = true
		}
		members = append(members, member)
	}
	if rapid.IntRange(0, 3).Draw(t, "unknown") == 0 {
		members = append(members, `"user":"somebody","metadata":{"a":[1,{}]}`)
	}
	return `{` + strings.Join(rapid.Permutation(members).Draw(t, "order"), rapid.SampledFrom([]string{",", " ,\n\t"}).Draw(t, "comma")) + `}`
}

// namesIn are the names of the members in a sample.
func namesIn(member string) []string {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte("{"+member+"}"), &all) != nil {
		return nil
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	return names
}
