package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/simulator"
)

// TestLibrariesConverse has programs talk to each provider in each way that it
// documents: they have its words, and its figures.
func TestLibrariesConverse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{CachedTokens: 2, ReasoningTokens: 7})
	secret := f.issue(t).Secret
	for _, l := range libraries(t) {
		for _, provider := range simulator.Providers() {
			t.Run(fmt.Sprintf("%s, %s", l.name, provider), func(t *testing.T) {
				t.Parallel()
				check := func(name string, e libraryErrand) {
					for _, stream := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s, stream: %v", name, stream), func(t *testing.T) {
							e.Model, e.Prompt, e.Stream = modelOf(provider), "Please answer, "+t.Name()+".", stream
							f.checkErrand(t, l, e, l.do(t.Context(), t, f.gateway, secret, e))
						})
					}
				}
				check("words", libraryErrand{})
				check("a limit", libraryErrand{System: "You are to the point.", Most: 9})
				check("frills", libraryErrand{Frills: true})
			})
		}
	}
}

// TestLibrariesSeeImages shows an image to the providers that take one in the body.
func TestLibrariesSeeImages(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	const pixels = "These are 47 bytes that nobody takes a look at."
	image := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(pixels))
	for _, l := range libraries(t) {
		for _, provider := range simulator.Providers() {
			for _, frills := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, frills: %v", l.name, provider, frills), func(t *testing.T) {
					for _, stream := range []bool{false, true} {
						e := libraryErrand{Model: modelOf(provider), Image: image, Stream: stream, Frills: frills}
						e.Prompt = fmt.Sprintf("What is it, %s %v?", t.Name(), stream)
						s := l.do(t.Context(), t, f.gateway, secret, e)
						f.checkErrand(t, l, e, s)
						if !strings.HasPrefix(s.Steps[0].Text, "I see 1 image (image/png, 47 bytes).") {
							t.Errorf("the provider says %q", s.Steps[0].Text)
						}
					}
				})
			}
		}
	}
}

// TestLibrariesRunTools has the providers call a tool that really runs. Who
// documents how a result is told has it told, and answers in words.
func TestLibrariesRunTools(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	for _, l := range libraries(t) {
		check := func(model string, turns int, frills bool) {
			t.Run(fmt.Sprintf("%s, %s, frills: %v", l.name, model, frills), func(t *testing.T) {
				for _, stream := range []bool{false, true} {
					e := libraryErrand{Model: model, Turns: turns, Stream: stream, Frills: frills}
					e.Prompt = fmt.Sprintf("What is the weather, %s %v?", t.Name(), stream)
					s := l.do(t.Context(), t, f.gateway, secret, e)
					truth := f.checkErrand(t, l, e, s)
					if len(truth) != turns || !slices.Equal(s.Ran, []string{truth[0].Choices[0].Arguments}) || s.Ran[0] != `{"place":"example"}` {
						t.Errorf("the tool ran with %q in %d turns, want once in %d with %+v", s.Ran, len(truth), turns, truth[0].Choices[0])
					}
					if turns > 1 && (s.Steps[1].Finish != "stop" || !strings.Contains(truth[1].Body, "Sunny, 21 degrees")) {
						t.Errorf("the result was told as %s\nand the answer is %+v", truth[1].Body, s.Steps[1])
					}
				}
			})
		}
		for _, frills := range []bool{false, true} {
			check("gemini-2.5-flash-lite", 2, frills)
			check("gemini-2.0-flash", 1, frills)
			check("gemini-flash", 2, frills) // the second turn is StarMagic's, whoever had the first
		}
	}
}

// TestLibrariesHaveObjects has answers made objects: by a schema, which
// StarMagic alone documents, and by the arguments of a call.
func TestLibrariesHaveObjects(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	secret := f.issue(t).Secret
	check := func(t *testing.T, l library, e libraryErrand) {
		t.Helper()
		e.Prompt = fmt.Sprintf("How warm is it, %s %s %s %v?", l.name, e.Model, e.Object, e.Stream)
		s := l.do(t.Context(), t, f.gateway, secret, e)
		f.checkErrand(t, l, e, s)
		if got := string(s.Object); got != `{"place":"example","degrees":1}` && got != `{"degrees":1,"place":"example"}` {
			t.Errorf("%s has %s of %s", l.name, got, e.Model)
		}
	}
	for _, l := range libraries(t) {
		t.Run(l.name, func(t *testing.T) {
			for _, model := range []string{"gemini-2.5-flash-lite", "gemini-flash"} {
				t.Run(model, func(t *testing.T) {
					check(t, l, libraryErrand{Model: model, Object: "jsonSchema"})
				})
			}
			if l.name == aiSDK {
				check(t, l, libraryErrand{Model: "gemini-2.5-flash-lite", Object: "jsonSchema", Stream: true})
				return
			}
			check(t, l, libraryErrand{Model: "gemini-2.5-flash-lite", Object: "functionCalling"})
			check(t, l, libraryErrand{Model: "gemini-2.0-flash", Object: "functionCalling"})
		})
	}
}

// TestLibrariesKnowReasoners calls models by names for which LangChain changes
// its dialect: the system's message is a developer's then, and the limit is
// called max_completion_tokens.
func TestLibrariesKnowReasoners(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil).renamed(t)
	secret := f.issue(t).Secret
	for _, l := range libraries(t) {
		for _, provider := range simulator.Providers() {
			t.Run(fmt.Sprintf("%s, %s", l.name, provider), func(t *testing.T) {
				for _, stream := range []bool{false, true} {
					e := libraryErrand{Model: "o4-" + string(provider), System: "You are to the point.", Most: 5, Stream: stream}
					e.Prompt = fmt.Sprintf("Please think, %s %v.", t.Name(), stream)
					s := l.do(t.Context(), t, f.gateway, secret, e)
					truth := f.checkErrand(t, l, e, s)
					if s.Steps[0].Finish != "length" || !strings.Contains(truth[0].Body, e.System) {
						t.Errorf("the program has %+v, of %s", s.Steps[0], truth[0].Body)
					}
				}
			})
		}
	}
}

// renamed starts another gateway in front of the same providers, which calls
// each one's model o4-PROVIDER.
func (f *fleet) renamed(t *testing.T) *fleet {
	t.Helper()
	var names strings.Builder
	for _, provider := range simulator.Providers() {
		fmt.Fprintf(&names, "  o4-%s: {targets: [{provider: %[1]s, model: %s}]}\n", provider, modelOf(provider))
	}
	other := &fleet{providers: f.providers, env: maps.Clone(f.env)}
	other.env["DATA_DIR"] = t.TempDir()
	other.gateway = serve(t, strings.Replace(configuration, "models:\n", "models:\n"+names.String(), 1), other.env)
	return other
}

// TestLibrariesAbort aborts plain answers that do not come yet, and streams that
// have begun: the provider need not go on.
func TestLibrariesAbort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, nil)
	f.behave(simulator.Behaviour{Tokens: 1 << 16, Gap: 2 * time.Millisecond})
	for _, l := range libraries(t) {
		for _, provider := range simulator.Providers() {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, stream: %v", l.name, provider, stream), func(t *testing.T) {
					t.Parallel()
					f.abortsErrand(t, l, libraryErrand{Model: modelOf(provider), Prompt: "Please go on, " + t.Name() + ".", Stream: stream, Retries: 1})
				})
			}
		}
	}
}

// abortsErrand asks with a key of its own, by which the request is found in the
// log, and aborts once the provider works on it.
func (f *fleet) abortsErrand(t *testing.T, l library, e libraryErrand) {
	t.Helper()
	key := f.issue(t)
	e.reading = make(chan struct{})
	ctx, abort := context.WithCancel(within(t, patience))
	defer abort()
	ended := make(chan librarySeen, 1)
	go func() { ended <- l.do(ctx, t, f.gateway, key.Secret, e) }()
	f.written(t, e.Prompt, 0)
	if e.Stream && !wait(ctx, e.reading) {
		t.Fatal("the program has nothing to read")
	}
	abort()
	left := time.Now()
	truth := f.attempt(t, e.Prompt)
	if took := time.Since(left); !truth.ClientGone || truth.Done || proving() && took > 5*time.Second {
		t.Errorf("the provider was told after %s: %+v", took, truth)
	}
	s := <-ended
	class := "AbortError"
	if l.name == aiSDK && e.Stream {
		class = "abort" // a part of the stream, and no error
	}
	if failure := s.failed(t); failure.Class != class {
		t.Errorf("the program has %+v, want %s", failure, class)
	}
	if e.Stream && (len(s.Steps) != 1 || s.Steps[0].Text == "" || s.Steps[0].Finish != "" || !strings.HasPrefix(truth.Choices[0].Text, s.Steps[0].Text)) {
		t.Errorf("the program has %+v", s.Steps)
	}
	line := f.logged(t, "the access line of the key "+key.ID, func(l logLine) bool { return l.Message == "request" && l.KeyID == key.ID })
	if r := f.record(t, line.RequestID); line.EndReason != "client_gone" || r.EndReason != "client_gone" {
		t.Errorf("the access line says %s, the record %+v", line.EndReason, r)
	}
}
