package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"tollgate/usage"
)

// TestTrails prints them below the records, whole or not at all.
func TestTrails(t *testing.T) {
	f := func(want string, texts ...usage.JSON) {
		t.Helper()
		var records []usage.Record
		for _, text := range texts {
			records = append(records, usage.Record{Trail: text})
		}
		var stdout bytes.Buffer
		if err := (&operator{stdout: &stdout}).print(nil, func(w io.Writer) { trails(w, records) }); err != nil {
			t.Fatal(err)
		}
		if stdout.String() != want {
			t.Errorf("printed\n%s\nwant\n%s", stdout.String(), want)
		}
	}
	f("")
	f("", "")
	f(`
ATTEMPT  PROVIDER   MODEL                  URL                          CREDENTIAL  OUTCOME       STATUS  BEGAN        TOOK   DROPPED  ADAPTED
0        starmagic  gemini-2.5-flash-lite  https://api.starmagic.ai/v1  #1 ...wxyz  server_error  503     after 2ms    340ms  -        -
1        evolink    gemini-3               https://api.evolink.ai/v1    #2 ...abcd  unreachable   -       after 350ms  5.2s   user, n  max_completion_tokens as max_tokens

passed over: theturbo (turbo) https://theturbo.example/v1 #1 ...ijkl: is open: keeps failing
passed over: theturbo (turbo-2): does not take "seed"
`, "", `{"attempts":[
		{"provider":"starmagic","url":"https://api.starmagic.ai/v1","credential":"#1 ...wxyz","model":"gemini-2.5-flash-lite",
			"outcome":"server_error","status":503,"began_ms":2,"took_ms":340},
		{"provider":"evolink","url":"https://api.evolink.ai/v1","credential":"#2 ...abcd","model":"gemini-3","outcome":"unreachable",
			"began_ms":350,"took_ms":5200,"dropped":["user","n"],"adapted":["max_completion_tokens as max_tokens"],"colour":"red"}],
	"excluded":[
		{"provider":"theturbo","url":"https://theturbo.example/v1","credential":"#1 ...ijkl","model":"turbo","why":"is open: keeps failing"},
		{"provider":"theturbo","model":"turbo-2","param":"seed","why":"does not take \"seed\""}]}`)
	f(`
no provider was asked

passed over: theturbo (turbo): is off
`, `{"attempts":[],"excluded":[{"provider":"theturbo","model":"turbo","why":"is off"}]}`)
	f(`
its trail is of a version that cannot be shown here: -o json shows it as it is

ATTEMPT  PROVIDER   MODEL  URL  CREDENTIAL  OUTCOME  STATUS  BEGAN     TOOK  DROPPED  ADAPTED
0        starmagic  -      -    -           success  200     after 0s  2s    -        -
`, `{"attempts":{}}`, `{"attempts":[{"provider":"starmagic","outcome":"success","status":200,"took_ms":2000}]}`)
}

// TestRequestShowsItsTrail in both forms: as tables, and as an object in its record.
func TestRequestShowsItsTrail(t *testing.T) {
	_, g := consulted(t, &oracle{record: usage.Record{
		RequestID: "0199-a", Kind: usage.KindSettle, Model: "gemini-flash", Provider: "starmagic", EndReason: usage.EndCompleted, Source: usage.SourceUpstream,
		Trail: `{"attempts":[{"provider":"starmagic","url":"u","credential":"#1 ...wxyz","model":"m","outcome":"success","status":200,"began_ms":1,"took_ms":2}]}`,
	}})
	wantOutput(t, `KIND    ATTEMPT  MODEL         PROVIDER   END        SOURCE    PROMPT  COMPLETION  DELIVERED  CHARGE $  COST $
settle  0        gemini-flash  starmagic  completed  upstream  0       0           all        0.00      0.00

ATTEMPT  PROVIDER   MODEL  URL  CREDENTIAL  OUTCOME  STATUS  BEGAN      TOOK  DROPPED  ADAPTED
0        starmagic  m      u    #1 ...wxyz  success  200     after 1ms  2ms   -        -
`, g.args("request", "0199-a")...)
	const object = `
      "trail": {
        "attempts": [
          {
            "provider": "starmagic",
`
	if got := tollgate(t, g.args("request", "0199-a", "-o", "json")...); got.code != exitDone || !strings.Contains(got.stdout, object) {
		t.Errorf("got %+v, want in it%s", got, object)
	}
}
