package simulator

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDeviation(t *testing.T) {
	f := func(text string, wantProvider Provider, want Deviations) {
		t.Helper()
		p, got, err := ParseDeviation(text)
		if err != nil || p != wantProvider {
			t.Errorf("%s: %q, %v, want %q", text, p, err, wantProvider)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	f("provider=theturbo,takes=seed+top_k,no_done", TheTurbo, Deviations{Takes: []string{"seed", "top_k"}, NoDone: true})
	f("no_done", "", Deviations{NoDone: true})
	f("placeholders", "", Deviations{Placeholders: true})
	f("refuses=seed", "", Deviations{Refuses: []string{"seed"}})
	f("refuses=tools+tool_choice,ignores=n,provider=starmagic", StarMagic, Deviations{Refuses: []string{"tools", "tool_choice"}, Ignores: []string{"n"}})
	f("provider=evolink,ignores=seed,takes=seed", Evolink, Deviations{Takes: []string{"seed"}, Ignores: []string{"seed"}})
	f("range.temperature=0..1,range.n=1..1", "", Deviations{Ranges: map[string][2]float64{"temperature": {0, 1}, "n": {1, 1}}})
	f("provider=evolink,takes=seed,range.seed=-1.5..1e3", Evolink, Deviations{Takes: []string{"seed"}, Ranges: map[string][2]float64{"seed": {-1.5, 1000}}})
	f("no_stop_arrays,refuses_roles=system,takes_roles=developer", "", Deviations{NoStopArrays: true, RefusesRoles: []string{"system"}, TakesRoles: []string{"developer"}})
	f("provider=theturbo,takes_roles=tool", TheTurbo, Deviations{TakesRoles: []string{"tool"}})
	f("media=web,media_types=image/png+video/3gpp", "", Deviations{Media: MediaWeb, MediaTypes: []string{"image/png", "video/3gpp"}})
	f("model=gemini-2.0/x+y,errors=html,stream_usage=every_chunk,figures=reasoning_apart", "", Deviations{
		Model: "gemini-2.0/x+y", Errors: ErrorHTML, StreamUsage: UsageEveryChunk, Figures: FiguresReasoningApart,
	})
}

func TestParseDeviationNamesTheOption(t *testing.T) {
	const (
		all     = "refuses, takes, ignores, range.NAME, no_stop_arrays, refuses_roles, takes_roles, media, media_types, model, errors, placeholders, no_done, stream_usage, figures"
		nothing = "a deviation says what a provider does otherwise, with one or more of " + all
	)
	f := func(text, want string) {
		t.Helper()
		p, got, err := ParseDeviation(text)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v\nwant %s", text, err, want)
		}
		if diff := cmp.Diff(Deviations{}, got); diff != "" || p != "" {
			t.Errorf("%s: %q and a deviation beside an error:\n%s", text, p, diff)
		}
	}
	f("", nothing)
	f("provider=theturbo", nothing)
	f("provider=openai,no_done", `deviation option "provider": must be one of starmagic, theturbo, evolink, got "openai"`)
	f("done", `deviation option "done": is unknown; there are provider, `+all)
	f("no_done,", `deviation option "": is unknown; there are provider, `+all)
	f("no_done, takes=x", `deviation option " takes": is unknown; there are provider, `+all)
	f("no_done=true", `deviation option "no_done": has no value`)
	f("no_done,no_done", `deviation option "no_done": is given twice`)
	f("range.n=1..1,range.n=1..2", `deviation option "range.n": is given twice`)
	f("takes", `deviation option "takes": has no value, write name=value`)
	f("refuses=seed++n", `deviation option "refuses": must be names with + between them, such as seed+top_k, got "seed++n"`)
	f("refuses=Seed", `deviation option "refuses": must be names with + between them, such as seed+top_k, got "Seed"`)
	f("refuses=seed+seed", `deviation option "refuses": names "seed" twice`)
	f("refuses=model", `deviation option "refuses": must be optional fields that some provider documents, got "model"`)
	f("provider=evolink,refuses=n", `deviation option "refuses": must be optional fields that evolink documents, got "n"`)
	f("provider=theturbo,takes=seed+n", `deviation option "takes": must be fields that theturbo does not document, got "n"`)
	f("refuses=seed,takes=seed", `deviation option "takes": "seed" is among refuses too`)
	f("ignores=seed,refuses=seed", `deviation option "ignores": "seed" is among refuses too`)
	f("ignores=user", `deviation option "ignores": must be optional fields that some provider documents or takes names, got "user"`)
	f("range.n=2..1", `deviation option "range.n": must be two numbers such as 0..1, the lower first, got "2..1"`)
	f("range.n=1", `deviation option "range.n": must be two numbers such as 0..1, the lower first, got "1"`)
	f("range.n=0..NaN", `deviation option "range.n": must be two numbers such as 0..1, the lower first, got "0..NaN"`)
	f("range.n=0..Inf", `deviation option "range.n": must be two numbers such as 0..1, the lower first, got "0..Inf"`)
	f("range.stop=0..1", `deviation option "range.stop": NAME must be a field with a number that some provider documents or takes names, got "stop"`)
	f("range.n=0..1,refuses=n", `deviation option "range.n": "n" is among refuses too`)
	f("range=0..1", `deviation option "range": is unknown; there are provider, `+all)
	f("provider=evolink,no_stop_arrays", `deviation option "no_stop_arrays": changes nothing where no stop is taken`)
	f("refuses=stop,no_stop_arrays", `deviation option "no_stop_arrays": changes nothing where no stop is taken`)
	f("refuses_roles=developer", `deviation option "refuses_roles": must be roles that some provider documents, got "developer"`)
	f("provider=theturbo,refuses_roles=tool", `deviation option "refuses_roles": must be roles that theturbo documents, got "tool"`)
	f("takes_roles=user", `deviation option "takes_roles": must be roles that some provider does not document, got "user"`)
	f("media=http", `deviation option "media": must be one of none, data, web, got "http"`)
	f("media=none,media_types=image/png", `deviation option "media_types": has no use beside media=none`)
	f("media_types=png", `deviation option "media_types": must be media types with + between them, such as image/png+audio/wav, got "png"`)
	f("model=", `deviation option "model": must not be empty`)
	f("errors=xml", `deviation option "errors": must be one of openai, message, text, html, got "xml"`)
	f("stream_usage=asked", `deviation option "stream_usage": must be one of never, always, every_chunk, got "asked"`)
	f("figures=wrong", `deviation option "figures": must be one of absent, total_off, twins, reasoning_apart, got "wrong"`)
}

func TestDeviationHelp(t *testing.T) {
	help := DeviationHelp()
	for _, option := range deviationOptions() {
		if !strings.Contains(help, "\n  "+option+" ") {
			t.Errorf("the help does not explain the option %s", option)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 81 {
			t.Errorf("the help has a line of %d characters: %s", len(line)-1, line)
		}
	}
}

// FuzzParseDeviation: what is accepted can be played, and the order of the options means nothing.
func FuzzParseDeviation(f *testing.F) {
	for _, text := range []string{
		"provider=theturbo,takes=seed+top_k,no_done", "refuses=seed+tools,ignores=n,errors=html", "range.n=-1..1e300,no_stop_arrays",
		"provider=evolink,takes=stream_options+tools,stream_usage=every_chunk,figures=twins", "refuses_roles=system,takes_roles=tool+developer",
		"media=none,model=x", "media=data,media_types=image/png+audio/wav", "no_done,,", "range.=..", "=,=",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, got, err := ParseDeviation(text)
		if err != nil {
			if !strings.Contains(err.Error(), "deviation") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		options := strings.Split(text, ",")
		slices.Reverse(options)
		turnedProvider, turned, err := ParseDeviation(strings.Join(options, ","))
		if diff := cmp.Diff(got, turned); err != nil || diff != "" || p != turnedProvider {
			t.Fatalf("%q, turned round: %q, %v\n%s", text, turnedProvider, err, diff)
		}
		s := New(Options{Behaviour: Behaviour{Deviations: got}})
		for _, p := range Providers() {
			for _, added := range []string{``, `"stream":true,`, `"n":3,`, `"n":-1,`} {
				if w := send(s, p, hi(p, added)); w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
					t.Fatalf("%q: %s answers %d: %s", text, p, w.Code, w.Body)
				}
			}
		}
	})
}
