package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// told asks and returns what the truth log says was delivered.
func told(s *Simulator, p Provider, body string) Entry {
	s.Reset()
	send(s, p, body)
	return s.Truth()[0]
}

func TestTextObeysItsLimits(t *testing.T) {
	f := func(b Behaviour, added, wantText, wantFinish string, wantCompletion int64) {
		t.Helper()
		e := told(New(Options{Behaviour: b}), StarMagic, hi(StarMagic, added))
		if c := e.Choices[0]; c.Text != wantText || c.Finish != wantFinish || e.Usage.Completion != wantCompletion {
			t.Errorf("%s: got %q %q, %d tokens; want %q %q, %d", added, c.Text, c.Finish, e.Usage.Completion, wantText, wantFinish, wantCompletion)
		}
	}
	five := Behaviour{Text: "one two three four five"}
	f(five, ``, "one two three four five", "stop", 5)
	f(five, `"max_tokens":5,`, "one two three four five", "stop", 5)
	f(five, `"max_tokens":2,`, "one two", "length", 2)
	f(five, `"max_completion_tokens":3,"max_tokens":4,`, "one two three", "length", 3)
	f(five, `"stop":"three",`, "one two ", "stop", 3)
	f(five, `"stop":" three",`, "one two", "stop", 2)
	f(five, `"stop":["five","ee"],`, "one two thr", "stop", 3)
	f(five, `"stop":["o","e"],`, "", "stop", 0)
	f(five, `"stop":["missing",""],`, "one two three four five", "stop", 5)
	f(five, `"stop":"three","max_tokens":1,`, "one", "length", 1)
	f(Behaviour{Tokens: -1}, ``, "", "stop", 0)
	f(Behaviour{Text: "a b c", ReasoningTokens: 10}, ``, "a b c", "stop", 13)
	f(Behaviour{Text: "a b c", ReasoningTokens: 10}, `"max_tokens":11,`, "a", "length", 11)
	f(Behaviour{Text: "a b c", ReasoningTokens: 10}, `"max_tokens":4,`, "", "length", 4)
	f(Behaviour{Text: "a b c", ReasoningTokens: 10}, `"reasoning_effort":"none",`, "a b c", "stop", 3)
	f(Behaviour{Text: "aé漢", ChunkBytes: 2}, ``, "aé漢", "stop", 3)
}

func TestChunkBytes(t *testing.T) {
	e := told(New(Options{Behaviour: Behaviour{Tokens: 10, ChunkBytes: 100}}), Evolink, hi(Evolink, `"stream":true,`))
	if got := len(e.Choices[0].Text); got != 1000 || e.TokensWritten != 10 {
		t.Errorf("10 tokens of 100 bytes are %d tokens, %d bytes", e.TokensWritten, got)
	}
}

func TestTextDependsOnTheQuestionAlone(t *testing.T) {
	s := New(Options{Seed: 1})
	text := func(s *Simulator, p Provider, body string) string { return told(s, p, body).Choices[0].Text }
	base := text(s, StarMagic, hi(StarMagic, ``))
	same := func(what, got string) {
		t.Helper()
		if got != base {
			t.Errorf("%s changed the text: %q, was %q", what, got, base)
		}
	}
	other := func(what, got string) {
		t.Helper()
		if got == base || got == "" {
			t.Errorf("%s did not change the text: %q", what, got)
		}
	}
	same("asking again", text(s, StarMagic, hi(StarMagic, ``)))
	same("an equal simulator", text(New(Options{Seed: 1}), StarMagic, hi(StarMagic, ``)))
	same("streaming", text(s, StarMagic, hi(StarMagic, `"stream":true,`)))
	same("temperature", text(s, StarMagic, hi(StarMagic, `"temperature":1,`)))
	other("the simulator's seed", text(New(Options{Seed: 2}), StarMagic, hi(StarMagic, ``)))
	other("the request's seed", text(s, StarMagic, hi(StarMagic, `"seed":5,`)))
	other("the provider", text(s, Evolink, hi(Evolink, ``)))
	other("the words", text(s, StarMagic, messages(StarMagic, `[{"role":"user","content":"Please introduce me"}]`)))
	other("the role", text(s, StarMagic, messages(StarMagic, `[{"role":"system","content":"Please introduce yourself"}]`)))
}

// Whatever is asked, the truth is consistent: the stream says what the plain
// answer says, one token per piece, and the limits hold.
func TestTruthIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Behaviour{
			Tokens:          rapid.IntRange(-1, 40).Draw(t, "tokens"),
			ReasoningTokens: rapid.IntRange(0, 20).Draw(t, "reasoning"),
			ChunkBytes:      rapid.IntRange(0, 12).Draw(t, "chunk"),
		}
		n, most := rapid.IntRange(1, 3).Draw(t, "n"), rapid.IntRange(1, 50).Draw(t, "max_tokens")
		s := New(Options{Seed: rapid.Uint64().Draw(t, "seed"), Behaviour: b})
		added := fmt.Sprintf(`"n":%d,"max_tokens":%d,"stop":%q,`, n, most, rapid.StringMatching(`[a-z ]{1,2}`).Draw(t, "stop"))
		if rapid.Bool().Draw(t, "tools") {
			added += `"tools":[` + aFunction + `],`
		}
		plain := told(s, StarMagic, hi(StarMagic, added))
		s.Reset()
		w := send(s, StarMagic, hi(StarMagic, `"stream":true,`+added))
		stream := s.Truth()[0]

		if plain.Usage != stream.Usage || fmt.Sprint(plain.Choices) != fmt.Sprint(stream.Choices) || len(plain.Choices) != n {
			t.Fatalf("plain and stream differ:\n%+v\n%+v", plain, stream)
		}
		if u := stream.Usage; u.Completion > int64(n*most) || u.Completion-u.Reasoning != stream.TokensWritten || plain.TokensWritten != stream.TokensWritten {
			t.Fatalf("%d tokens written of %+v, at most %d x %d", stream.TokensWritten, u, n, most)
		}
		if chunks := strings.Count(w.Body.String(), "data: {"); int64(chunks) != stream.TokensWritten+int64(2*n) {
			t.Fatalf("%d chunks for %d tokens in %d choices", chunks, stream.TokensWritten, n)
		}
	})
}

func TestJSONAnswers(t *testing.T) {
	s := New(Options{Seed: 3})
	f := func(format, want string) {
		t.Helper()
		got := told(s, StarMagic, hi(StarMagic, `"response_format":`+format+`,`)).Choices[0].Text
		if !json.Valid([]byte(got)) || want != "" && got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
	f(`{"type":"json_object"}`, "")
	f(`{"type":"json_schema","json_schema":{"name":"x"}}`, "")
	f(`{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{
		"s":{"type":"string"},"i":{"type":"integer"},"b":{"type":"boolean"},"z":{"type":["null","string"]},
		"e":{"enum":["red","blue"]},"l":{"type":"array","items":{"type":"number"}},"o":{"properties":{"s":{"type":"string"}}}}}}}`,
		`{"b":true,"e":"red","i":1,"l":[1],"o":{"s":"example"},"s":"example","z":null}`)
	f(`{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"array","items":{"type":"array","items":{"type":"array","items":{"type":"array","items":{"type":"array"}}}}}}}`, `[[[[[]]]]]`)
}

func TestWhichToolIsCalled(t *testing.T) {
	s := New(Options{})
	const two = `"tools":[{"type":"function","function":{"name":"first"}},{"type":"function","function":{"name":"second"}}],`
	f := func(p Provider, body, wantCall, wantFinish string) {
		t.Helper()
		c := told(s, p, body).Choices[0]
		if c.Call != wantCall || c.Finish != wantFinish || wantCall != "" && c.Arguments != "{}" {
			t.Errorf("%s: got call %q (%s), finish %q; want %q, %q", body, c.Call, c.Arguments, c.Finish, wantCall, wantFinish)
		}
	}
	for _, p := range []Provider{StarMagic, TheTurbo} {
		f(p, hi(p, two), "first", "tool_calls")
		f(p, hi(p, two+`"tool_choice":"required",`), "first", "tool_calls")
		f(p, hi(p, two+`"tool_choice":{"type":"function","function":{"name":"second"}},`), "second", "tool_calls")
		f(p, hi(p, two+`"tool_choice":"none",`), "", "stop")
		f(p, hi(p, `"tools":[],`), "", "stop")
	}
	f(StarMagic, `{"model":"gemini-2.5-flash-lite",`+two+`"messages":[{"role":"user","content":"Hi"},
		{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"first","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"1","content":"done"}]}`, "", "stop")
}

func TestMediaAreNamedAndCounted(t *testing.T) {
	s := New(Options{Behaviour: Behaviour{Tokens: 1}})
	f := func(p Provider, addresses []string, wantText string, wantPrompt int64) {
		t.Helper()
		parts := `{"type":"text","text":"What is this?"}`
		for _, a := range addresses {
			parts += `,{"type":"image_url","image_url":{"url":"` + a + `"}}`
		}
		e := told(s, p, messages(p, `[{"role":"user","content":[`+parts+`]}]`))
		if e.Choices[0].Text != wantText || e.Usage.Prompt != wantPrompt || e.Usage.Media != wantPrompt-3 {
			t.Errorf("got %q, %+v; want %q, %d prompt tokens", e.Choices[0].Text, e.Usage, wantText, wantPrompt)
		}
	}
	f(StarMagic, []string{pixel}, "I see 1 image (image/png, 8 bytes).", 3+258)
	f(Evolink, []string{"https://example.com/cat.png", pixel}, "I see 2 images (by address; image/png, 8 bytes).", 3+2*258)
	f(TheTurbo, []string{"data:video/mp4;base64,SGk=", "data:audio/wav;base64,SGk=", pixel, "data:audio/mp3;base64,SGVsbG8="},
		"I see 1 image (image/png, 8 bytes) and 2 audio clips (audio/wav, 2 bytes; audio/mp3, 5 bytes) and 1 video (video/mp4, 2 bytes).", 3+4*258)
}

func TestTiming(t *testing.T) {
	f := func(body string, first, whole time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := Behaviour{Tokens: 4, FirstToken: time.Second, Gap: 100 * time.Millisecond}
			e := told(New(Options{Behaviour: b}), Evolink, body)
			if got := e.FirstByte.Sub(e.Received); got != first {
				t.Errorf("first byte after %v, want %v", got, first)
			}
			if got := e.Ended.Sub(e.Received); got != whole {
				t.Errorf("ended after %v, want %v", got, whole)
			}
		})
	}
	f(hi(Evolink, `"stream":true,`), time.Second, 1300*time.Millisecond)
	f(hi(Evolink, ``), 1300*time.Millisecond, 1300*time.Millisecond)
	f(hi(Evolink, `"stream":true,"max_tokens":1,`), time.Second, time.Second)
}

func FuzzRequest(f *testing.F) {
	for _, p := range Providers() {
		f.Add(string(p), []byte(hi(p, "")))
		f.Add(string(p), []byte(messages(p, image(pixel))))
		f.Add(string(p), []byte(hi(p, `"stream":true,"stop":["a"],"n":2,"tools":[`+aFunction+`],`)))
	}
	f.Add("starmagic", []byte(hi(StarMagic, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":["array"]}}},"logprobs":true,"top_logprobs":2,`)))
	f.Add("evolink", []byte(`{"messages":[{"role":"user","content":"\ud800"}],"model":1e400}`))
	s := New(Options{Behaviour: Behaviour{Tokens: 3}})
	f.Fuzz(func(t *testing.T, provider string, body []byte) {
		p := Provider(provider)
		if p.Models() == nil {
			return
		}
		w := send(s, p, string(body))
		switch {
		case w.Code != 200:
			var refused errorBody
			if err := json.Unmarshal(w.Body.Bytes(), &refused); err != nil || refused.Error.Message == "" {
				t.Errorf("status %d without an error object: %s", w.Code, w.Body)
			}
		case !json.Valid(body):
			t.Errorf("accepted what is not JSON: %q", body)
		case w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()):
			t.Errorf("the answer is not JSON: %s", w.Body)
		}
	})
}
