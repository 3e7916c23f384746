package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFault(t *testing.T) {
	f := func(text string, want Fault) {
		t.Helper()
		got, err := ParseFault(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	f("kind=drop", Fault{Kind: Drop})
	f("kind=cut_between,provider=theturbo,events=3,every=2", Fault{Kind: CutBetween, Provider: TheTurbo, Events: 3, Every: 2})
	f("every=2,events=0,kind=cut_between", Fault{Kind: CutBetween, Every: 2})
	f("kind=respond,status=429,header.Retry-After=7,header.x-empty=,times=3,name=too many", Fault{
		Kind: Respond, Status: 429, Header: map[string]string{"Retry-After": "7", "X-Empty": ""}, Times: 3, Name: "too many",
	})
	f("kind=html,model=gemini-2.0-flash,nth=1,body=a,b=c,nth=2", Fault{Kind: HTML, Model: "gemini-2.0-flash", Nth: 1, Body: "a,b=c,nth=2"})
	f("kind=stall,events=5,for=1m30s", Fault{Kind: Stall, Events: 5, For: 90 * time.Second})
	f("kind=drip,interval=20ms,for=1s,reset=true,body=:\n", Fault{Kind: Drip, Interval: 20 * time.Millisecond, For: time.Second, Reset: true, Body: ":\n"})
	f("kind=cut,at_byte=9223372036854775807,reset=false", Fault{Kind: Cut, AtByte: 1<<63 - 1})
	f("kind=giant_event,size=16777216", Fault{Kind: GiantEvent, Size: 16 << 20})
	f(`kind=wrong_usage,body={"prompt_tokens":-1,"total_tokens":2}`, Fault{Kind: WrongUsage, Body: `{"prompt_tokens":-1,"total_tokens":2}`})
}

func TestParseFaultNamesTheOption(t *testing.T) {
	const kinds = "respond, hang_before_headers, hang_before_first_event, stall, drip, drop, cut, cut_between, cut_inside, short_body, malformed_chunk, " +
		"html, empty, error_event, malformed_event, end_early, no_done, done_without_finish, after_done, giant_event, wrong_usage, no_usage"
	f := func(text, want string) {
		t.Helper()
		got, err := ParseFault(text)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v\nwant %s", text, err, want)
		}
		if diff := cmp.Diff(Fault{}, got); diff != "" {
			t.Errorf("%s: a fault beside an error:\n%s", text, diff)
		}
	}
	f("", `fault option "kind": is missing, it must be one of `+kinds)
	f("events=3", `fault option "kind": is missing, it must be one of `+kinds)
	f("kind=explode", `fault option "kind": must be one of `+kinds+`, got "explode"`)
	f("kind=Drop", `fault option "kind": must be one of `+kinds+`, got "Drop"`)
	f("drop", `fault option "drop": has no value, write name=value`)
	f("kind=stall,events,for=1s", `fault option "events": has no value, write name=value`)
	f("kind=drop,,nth=1", `fault option "": has no value, write name=value`)
	f("kind=drop,", `a fault must not end in a comma`)
	f("kind=drop,evry=2", `fault option "evry": is unknown; there are kind, name, provider, model, nth, every, times, status, header.NAME, events, at_byte, reset, for, interval, size, body`)
	f("kind=drop, every=2", `fault option " every": is unknown; there are kind, name, provider, model, nth, every, times, status, header.NAME, events, at_byte, reset, for, interval, size, body`)
	f("kind=drop,kind=cut", `fault option "kind": is given twice`)
	f("kind=drop,provider=openai", `fault option "provider": must be one of starmagic, theturbo, evolink, got "openai"`)
	f("kind=drop,model=", `fault option "model": must not be empty`)
	f("kind=drop,model=gpt", `fault option "model": must be a model of starmagic, theturbo, evolink, got "gpt"`)
	f("kind=drop,model=gemini-2.0-flash,provider=evolink", `fault option "model": must be a model of evolink, got "gemini-2.0-flash"`)
	f("kind=drop,nth=0", `fault option "nth": must be a whole number of 1 or more, got "0"`)
	f("kind=drop,every=two", `fault option "every": must be a whole number of 1 or more, got "two"`)
	f("kind=drop,times=99999999999999999999", `fault option "times": must be a whole number of 1 or more, got "99999999999999999999"`)
	f("kind=stall,events=-1", `fault option "events": must be a whole number of 0 or more, got "-1"`)
	f("kind=cut,at_byte=1k", `fault option "at_byte": must be a whole number of 0 or more, got "1k"`)
	f("kind=cut,reset=yes", `fault option "reset": must be one of true, false, got "yes"`)
	f("kind=stall,for=30", `fault option "for": must be a duration above 0 such as 20ms or 1m, got "30"`)
	f("kind=drip,interval=-1ms", `fault option "interval": must be a duration above 0 such as 20ms or 1m, got "-1ms"`)
	f("kind=giant_event,size=16777217", `fault option "size": must be a whole number between 1 and 16777216, got "16777217"`)
	f("kind=respond,status=100", `fault option "status": must be a whole number between 200 and 599, got "100"`)
	f("kind=respond,header.=1", `fault option "header.": write header.NAME=VALUE with the name of a header`)
	f("kind=respond,header.a b=1", `fault option "header.a b": write header.NAME=VALUE with the name of a header`)
	f("kind=respond,header.a=\r\n", `fault option "header.a": a header is made of printable ASCII characters`)
	f("kind=respond,header.a=1,header.A=2", `fault option "header.A": is given twice`)
	f("kind=respond,header.content-length=2", `fault "respond": the header Content-Length is the simulator's own`)
	f("kind=respond,status=204,body=x", `fault "respond": an answer with status 204 has no Body`)
	f("kind=respond,body=", `fault option "body": must not be empty`)
	f("kind=drop,events=3", `fault option "events": kind drop has no use for it`)
	f("kind=stall,header.a=1", `fault option "header.a": kind stall has no use for it`)
	f("kind=drip,body=x", `fault option "body": kind drip has no use for it without for`)
	f("kind=wrong_usage,body={", `fault option "body": must be JSON, it is sent as the usage object`)
}

// Every option that the help gives to a kind is one that its parser takes.
func TestFaultHelp(t *testing.T) {
	values := map[string]string{
		"status": "status=503", "header": "header.A=b", "events": "events=1", "at_byte": "at_byte=1", "reset": "reset=true",
		"for": "for=1s", "interval": "interval=1s", "size": "size=1", "body": "body=1",
	}
	help := FaultHelp()
	for _, kind := range FaultKinds() {
		text := "kind=" + string(kind)
		for option := range strings.FieldsSeq(traitsOf(kind).options) {
			text += "," + values[option]
		}
		if _, err := ParseFault(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !strings.Contains(help, "\n  "+string(kind)+" (") && !strings.Contains(help, "\n  "+string(kind)+"\n") {
			t.Errorf("the help does not explain %s", kind)
		}
	}
	for _, option := range faultOptions() {
		if !strings.Contains(help, "\n  "+option+" ") {
			t.Errorf("the help does not explain the option %s", option)
		}
	}
}

// FuzzParseFault: what is accepted can be injected, and the order of the options means nothing.
func FuzzParseFault(f *testing.F) {
	for _, text := range []string{
		"kind=cut_between,provider=theturbo,events=3,every=2", "kind=respond,status=429,header.Retry-After=7,body={\"a\":[1,2]}",
		"kind=drip,for=1s,interval=1ms,reset=true,body=: x\n\n", "kind=wrong_usage,body=\"many\"", "name=x,model=gemini-2.0-flash,nth=1,times=2,kind=cut,at_byte=7",
		"kind=giant_event,size=1,events=0", "kind=drop,,", "body=kind=drop", "=,=",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFault(text)
		if err != nil {
			if !strings.Contains(err.Error(), "fault") || got.Kind != "" {
				t.Fatalf("%q: %v with %+v", text, err, got)
			}
			return
		}
		if err := New(Options{}).Inject(got); err != nil {
			t.Fatalf("%q was accepted, but %v", text, err)
		}
		head, body, hasBody := strings.Cut(","+text, ",body=")
		options := strings.Split(head[1:], ",")
		turned := ""
		for _, option := range options {
			turned = option + "," + turned
		}
		turned = strings.TrimSuffix(turned, ",")
		if hasBody {
			turned += ",body=" + body
		}
		again, err := ParseFault(turned)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Fatalf("%q, turned round: %v\n%s", text, err, diff)
		}
	})
}
