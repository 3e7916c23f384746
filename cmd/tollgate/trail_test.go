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

// TestRequestShowsEveryRecord: what failed before the bill has a line of its own, with its cost.
func TestRequestShowsEveryRecord(t *testing.T) {
	failed := usage.Record{
		RequestID: "0199-a", Kind: usage.KindAttempt, Model: "gemini-flash", Provider: "starmagic", EndReason: usage.EndUpstreamFailed,
		Source: usage.SourcePartial, Tokens: usage.Tokens{Prompt: 100}, Cost: 7_000_000,
	}
	_, g := consulted(t, &oracle{failed: []usage.Record{failed}, record: usage.Record{
		RequestID: "0199-a", Kind: usage.KindSettle, Attempt: 1, Model: "gemini-flash", Provider: "evolink", EndReason: usage.EndCompleted,
		Source: usage.SourceUpstream, Tokens: usage.Tokens{Prompt: 100, Completion: 20}, Charge: 140_000, Cost: 90_000,
	}})
	wantOutput(t, `KIND     ATTEMPT  MODEL         PROVIDER   END              SOURCE    PROMPT  COMPLETION  DELIVERED  CHARGE $  COST $
attempt  0        gemini-flash  starmagic  upstream_failed  partial   100     0           0          0.00      0.007
settle   1        gemini-flash  evolink    completed        upstream  100     20          all        0.00014   0.00009
`, g.args("request", "0199-a")...)
}

// TestUsageThatIsBehind: what may lack something says so, beside what is for scripts.
func TestUsageThatIsBehind(t *testing.T) {
	o := &oracle{record: usage.Record{RequestID: "0199-a", Kind: usage.KindSettle}}
	_, g := consulted(t, o)
	f := func(behind uint64, stderr, field string) {
		t.Helper()
		o.behind = behind
		for _, command := range [][]string{{"usage"}, {"request", "0199-a"}} {
			if got := tollgate(t, g.args(command...)...); got.code != exitDone || got.stderr != stderr || strings.Contains(got.stdout, "journal") {
				t.Errorf("%v, %d behind: %+v", command, behind, got)
			}
			got := tollgate(t, g.args(append(command, "-o", "json")...)...)
			if got.stderr != stderr || strings.Contains(got.stdout, `"behind"`) != (field != "") || !strings.Contains(got.stdout, field) {
				t.Errorf("%v, %d behind: %+v", command, behind, got)
			}
		}
	}
	const hint = `, and "tollgate journal inspect --entries" shows what is in the journal` + "\n"
	f(0, "", "")
	f(1, "tollgate: 1 record is in the journal and not in the ledger yet: it counts as soon as that takes it"+hint, `"behind": 1`)
	f(7, "tollgate: 7 records are in the journal and not in the ledger yet: they count as soon as it takes them"+hint, `"behind": 7`)
}
