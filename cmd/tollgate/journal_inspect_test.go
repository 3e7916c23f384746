package main

import (
	"encoding/json"
	"testing"

	"tollgate/usage"
	"tollgate/usage/journal"
)

// The second start has written the last entry of the first one again, of which nothing says that it was safe.
func TestJournalInspect(t *testing.T) {
	k := newKept(t)
	k.write(answered()...)
	k.write(open()...)
	k.want(exitDone, `NUMBER  STATE  FIRST  LAST  ENTRIES  SIZE
1       used   1      3     3        2033B
2       used   4      6     3        1552B
`, "", "inspect")
	k.want(exitDone, `SEQUENCE  KIND        REQUEST  ATTEMPT  MODEL         PROVIDER   END              SOURCE    PROMPT  COMPLETION  CHARGE $  COST $
1         intent      0199-a   0        gemini-flash  starmagic  -                -         0       0           0.00      0.00
2         attempt     0199-a   0        gemini-flash  starmagic  upstream_failed  none      0       0           0.00      0.007
3         intent      0199-a   1        gemini-flash  starmagic  -                -         0       0           0.00      0.00
4         settle      0199-a   1        gemini-flash  evolink    completed        upstream  100     20          0.00014   0.00009
5         intent      0199-b   0        gemini-flash  starmagic  -                -         0       0           0.00      0.00
6         checkpoint  0199-b   0        gemini-flash  starmagic  -                -         1000    500         0.00      0.00
`, "", "inspect", "--entries")
	k.want(exitDone, `SEQUENCE  KIND        REQUEST  ATTEMPT  MODEL         PROVIDER   END  SOURCE  PROMPT  COMPLETION  CHARGE $  COST $
5         intent      0199-b   0        gemini-flash  starmagic  -    -       0       0           0.00      0.00
6         checkpoint  0199-b   0        gemini-flash  starmagic  -    -       1000    500         0.00      0.00
`, "", "inspect", "--request", "0199-b")
	k.want(exitDone, `{
  "segments": [{"number":1,"state":"used","first":1,"last":3,"entries":3,"size_bytes":2033},{"number":2,"state":"used","first":4,"last":6,"entries":3,"size_bytes":1552}],
  "entries": [
    {"sequence":1,"segment":1,"kind":"intent","record":`+recorded(t, answered()[0])+`},
    {"sequence":3,"segment":1,"kind":"intent","record":`+recorded(t, answered()[2])+`},
    {"sequence":5,"segment":2,"kind":"intent","record":`+recorded(t, open()[0])+`}
  ]
}
`, "", "inspect", "--kind", "intent", "-o", "json")
	k.want(exitDone, `{
  "segments": [
    {
      "number": 1,
      "state": "used",
      "first": 1,
      "last": 3,
      "entries": 3,
      "size_bytes": 2033
    },
    {
      "number": 2,
      "state": "used",
      "first": 4,
      "last": 6,
      "entries": 3,
      "size_bytes": 1552
    }
  ]
}
`, "", "inspect", "-o", "json")
	k.want(exitUsage, "", `tollgate: --kind: must be intent, attempt, checkpoint, settle, adjust or void, got "bill"`+"\n", "inspect", "--kind", "bill")
	k.want(exitUsage, "", "tollgate: --request: ID: name the request by the x-request-id of its answer\n", "inspect", "--request", "")
}

// recorded is a record as the journal has it.
func recorded(t *testing.T, r usage.Record) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What somebody else wrote into an entry moves no cursor and breaks no table.
func TestJournalInspectShowsForeignTextHarmless(t *testing.T) {
	k := newKept(t)
	r := recordOf("0199-\x1b[2J", usage.KindSettle, 0)
	r.Model = "a\tb\nc"
	k.write(r)
	log, err := journal.Open(journalFolder(k.data), journal.Options{MaxSize: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(journal.Adjust, journal.Room{Class: journal.Owed}, []byte("\x1b[2J")); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	k.want(exitDone, `SEQUENCE  KIND    REQUEST             ATTEMPT  MODEL  PROVIDER   END  SOURCE  PROMPT  COMPLETION  CHARGE $  COST $
1         settle  0199-�[2J           0        a�b�c  starmagic  -    -       0       0           0.00      0.00
2         adjust  not a usage record  -        -      -          -    -       -       -           -         -
`, "", "inspect", "--entries")
}
