package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollgate/store"
	"tollgate/usage"
	"tollgate/usage/journal"

	"github.com/google/go-cmp/cmp"
)

// kept is a data folder with a journal that a test has written.
type kept struct {
	t      *testing.T
	data   string
	config string
}

func newKept(t *testing.T) *kept {
	t.Helper()
	data := t.TempDir()
	return &kept{t: t, data: data, config: writeFile(t, "data_dir: "+data+"\nusage: {max_journal: 16MiB}\n"+
		"providers: {starmagic: {contract: starmagic, endpoints: [{url: 'http://127.0.0.1:1/v1', api_keys: [k]}]}}\n"+
		"models: {gemini-flash: {targets: [{provider: starmagic, model: g}]}}\n"+
		"costs: [{provider: starmagic, model: g, input: '0.50', output: '1.00'}]\n"+
		"prices: [{model: gemini-flash, input: '1.00', output: '2.00'}]\n")}
}

// write appends records to the journal, each durable before the next one.
func (k *kept) write(records ...usage.Record) {
	k.t.Helper()
	log, err := journal.Open(journalFolder(k.data), journal.Options{MaxSize: 16 << 20})
	if err != nil {
		k.t.Fatal(err)
	}
	kinds := map[usage.Kind]journal.Kind{
		usage.KindIntent: journal.Intent, usage.KindAttempt: journal.Attempt, usage.KindCheckpoint: journal.Checkpoint, usage.KindSettle: journal.Settle,
	}
	for _, r := range records {
		payload, err := json.Marshal(r)
		if err != nil {
			k.t.Fatal(err)
		}
		sequence, err := log.Append(kinds[r.Kind], journal.Room{Class: journal.Owed}, payload)
		if err == nil {
			err = log.Await(k.t.Context(), sequence)
		}
		if err != nil {
			k.t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// spoil overwrites one byte in each of these records.
func (k *kept) spoil(records ...usage.Record) {
	k.t.Helper()
	path := filepath.Join(journalFolder(k.data), "0000000000000001.segment")
	text, err := os.ReadFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, r := range records {
		at := bytes.Index(text, []byte(recorded(k.t, r)))
		if at < 0 {
			k.t.Fatalf("there is no %s of %s to spoil", r.Kind, r.RequestID)
		}
		text[at] = 'x'
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// want runs a command on the journal and compares all that it says.
func (k *kept) want(code int, stdout, stderr string, args ...string) {
	k.t.Helper()
	got := tollgate(k.t, append([]string{"journal"}, append(args, "-c", k.config)...)...)
	got.stdout, got.stderr = strings.ReplaceAll(got.stdout, k.data, "DATA"), strings.ReplaceAll(got.stderr, k.data, "DATA")
	if got != (outcome{code, stdout, stderr}) {
		k.t.Errorf("tollgate journal %s: exit code %d, printed\n%scomplained\n%s\nwant %d\n%sand\n%s",
			strings.Join(args, " "), got.code, got.stdout, got.stderr, code, stdout, stderr)
	}
}

// day1 is when the records of these tests were made.
var day1 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func recordOf(request string, kind usage.Kind, attempt int) usage.Record {
	return usage.Record{
		RequestID: request, Kind: kind, Attempt: attempt, Tenant: "acme", KeyID: "key_1", Model: "gemini-flash", Provider: "starmagic",
		UpstreamModel: "g", AcceptedAt: day1, EndedAt: day1.Add(time.Second),
	}
}

// answered is a request that failed at one provider, and was answered by another.
func answered() []usage.Record {
	attempt := recordOf("0199-a", usage.KindAttempt, 0)
	attempt.EndReason, attempt.Source, attempt.Cost = usage.EndUpstreamFailed, usage.SourceNone, 7_000_000
	settle := recordOf("0199-a", usage.KindSettle, 1)
	settle.Provider, settle.EndReason, settle.Source, settle.Prompt, settle.Completion = "evolink", usage.EndCompleted, usage.SourceUpstream, 100, 20
	settle.Charge, settle.Cost = 140_000, 90_000
	return []usage.Record{recordOf("0199-a", usage.KindIntent, 0), attempt, recordOf("0199-a", usage.KindIntent, 1), settle}
}

// open is a stream that a crash has cut.
func open() []usage.Record {
	checkpoint := recordOf("0199-b", usage.KindCheckpoint, 0)
	checkpoint.Prompt, checkpoint.Completion, checkpoint.Delivered = 1000, 500, 500
	return []usage.Record{recordOf("0199-b", usage.KindIntent, 0), checkpoint}
}

func TestJournalVerifyAndRepair(t *testing.T) {
	k := newKept(t)
	k.write(append(answered(), open()...)...)
	k.want(exitDone, `folder    DATA/journal
segments  1: 1 used
entries   6, from 1 to 6: 3 intent, 1 attempt, 1 checkpoint, 1 settle

The journal is whole.
`, "", "verify")
	k.spoil(answered()[1])
	k.want(exitFailed, `folder    DATA/journal
segments  1: 1 damaged
entries   5, from 1 to 6: 3 intent, 1 checkpoint, 1 settle

DAMAGED SEGMENT           AT BYTE  ENTRIES LOST
0000000000000001.segment  519      1: 2
`, `tollgate: the journal is damaged at 1 place, 1 entry is lost: "tollgate journal repair" goes on without`+"\n", "verify")
	k.want(exitFailed, `{
  "folder": "DATA/journal",
  "damaged": true,
  "segments": [
    {
      "number": 1,
      "state": "damaged",
      "first": 1,
      "last": 6,
      "entries": 5,
      "size_bytes": 3039
    }
  ],
  "entries": {
    "checkpoint": 1,
    "intent": 3,
    "settle": 1
  },
  "first": 1,
  "last": 6,
  "torn_bytes": 0,
  "void": 0,
  "lost": 1,
  "damages": [
    {
      "segment": "0000000000000001.segment",
      "offset": 519,
      "sequence": 2,
      "lost": 1
    }
  ]
}
`, `tollgate: the journal is damaged at 1 place, 1 entry is lost: "tollgate journal repair" goes on without`+"\n", "verify", "-o", "json")
	k.want(exitDone, `NUMBER  STATE    FIRST  LAST  ENTRIES  SIZE
1       damaged  1      6     5        3039B
`, `tollgate: the journal is damaged at 1 place: "tollgate journal verify" tells what is lost`+"\n", "inspect")

	const damage = `DAMAGED SEGMENT           AT BYTE  ENTRIES LOST
0000000000000001.segment  519      1: 2
`
	k.want(exitFailed, damage+`
These segments would be written anew without what is lost, and kept as they are in files of their own.
`, "tollgate: the journal is damaged at 1 place, 1 entry is lost, and nothing was changed: give --yes to repair it\n", "repair")
	k.want(exitDone, damage+`
Repaired: a gateway can start with this journal. The damaged segments are kept as 0000000000000001.segment.damaged.
`, "", "repair", "--yes")
	k.want(exitDone, "The journal is whole: there is nothing to repair.\n", "", "repair")
	k.want(exitDone, "The journal is whole: there is nothing to repair.\n", "", "repair", "--yes")
	k.want(exitDone, `folder    DATA/journal
segments  1: 1 used
entries   6, from 1 to 6: 3 intent, 1 checkpoint, 1 settle, 1 void
void      1 of them lost before an earlier repair

The journal is whole.
`, "", "verify")
	k.want(exitDone, `SEQUENCE  KIND  REQUEST  ATTEMPT  MODEL  PROVIDER  END  SOURCE  PROMPT  COMPLETION  CHARGE $  COST $
2         void  1 lost   -        -      -         -    -       -       -           -         -
`, "", "inspect", "--kind", "void")
}

// Several entries that are lost are one damage, and one void.
func TestJournalRepairOfSeveralEntries(t *testing.T) {
	k := newKept(t)
	k.write(answered()...)
	k.spoil(answered()[1:3]...)
	k.want(exitDone, `DAMAGED SEGMENT           AT BYTE  ENTRIES LOST
0000000000000001.segment  519      2: 2 to 3

Repaired: a gateway can start with this journal. The damaged segments are kept as 0000000000000001.segment.damaged.
`, "", "repair", "--yes")
	k.want(exitDone, `{
  "segments": [{"number":1,"state":"used","first":1,"last":4,"entries":3,"size_bytes":1066}],
  "entries": [
    {"sequence":2,"segment":1,"kind":"void","lost":2}
  ]
}
`, "", "inspect", "--kind", "void", "-o", "json")
}

// A script is told whether there is damage still: what was found is not what is left.
func TestJournalRepairForScripts(t *testing.T) {
	k := newKept(t)
	k.write(answered()...)
	k.spoil(answered()[1])
	f := func(damaged, repaired bool, args ...string) {
		t.Helper()
		got := tollgate(t, append([]string{"journal", "repair", "-o", "json", "-c", k.config}, args...)...)
		var view struct{ Damaged, Repaired bool }
		if err := json.Unmarshal([]byte(got.stdout), &view); err != nil || view.Damaged != damaged || view.Repaired != repaired {
			t.Errorf("%v: %v, %+v", args, err, got)
		}
	}
	f(true, false)
	f(true, true, "--yes")
	f(false, false, "--yes")
}

// A request that a crash has cut is settled, and everything is given to the ledger: once, however often it is shipped.
func TestJournalShip(t *testing.T) {
	k := newKept(t)
	k.write(append(answered(), open()...)...)
	k.want(exitDone, "recovered  1\nshipped    3\n", `level=WARN msg="requests that a crash had left open are settled" count=1`+"\n", "ship")
	k.want(exitDone, "recovered  0\nshipped    0\n", "", "ship")
	k.want(exitDone, "recovered  0\nshipped    0\nreshipped  3\n", "", "ship", "--all")
	k.want(exitDone, `{
  "recovered": 0,
  "shipped": 0,
  "reshipped": 3,
  "rejected": 0
}
`, "", "ship", "--all", "-o", "json")

	db, err := store.OpenBolt(k.data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const held = "tollgate: a gateway runs with DATA: stop it first\n"
	k.want(exitFailed, "", held, "ship")
	ledger, err := usage.OpenLedger(db)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := ledger.Sum(t.Context(), usage.Query{By: []usage.Dimension{usage.ByTenant}})
	if err != nil {
		t.Fatal(err)
	}
	// 100 and 20 tokens for $0.00014; 1,000 and 500 for a dollar and two per million; the attempt that failed cost $0.007.
	want := []usage.Row{{Tenant: "acme", Requests: 2, EstimatedRequests: 1, PromptTokens: 1100, CompletionTokens: 520, Charge: 2_140_000, Cost: 8_090_000}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Beside a gateway that runs a look is possible, and nothing more.
func TestJournalOfARunningGateway(t *testing.T) {
	g := serveGateway(t, "server: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\ndata_dir: DATA_DIR\n")
	data := g.operate[3]
	got := tollgate(t, "journal", "verify", "--data-dir", data)
	if got.code != exitDone || got.stderr != "" || !strings.HasSuffix(got.stdout, "\nentries   0\n\nThe journal is whole.\n") {
		t.Errorf("verify: %+v", got)
	}
	want := outcome{exitFailed, "", "tollgate: a gateway runs with " + data + ": stop it first\n"}
	if got := tollgate(t, "journal", "repair", "--yes", "--data-dir", data); got != want {
		t.Errorf("repair: %+v", got)
	}
}

func TestNoJournal(t *testing.T) {
	k := newKept(t)
	const none = "tollgate: there is no journal in DATA/journal: is this the data_dir of a gateway that has run?\n"
	for _, command := range []string{"inspect", "verify", "ship", "repair"} {
		k.want(exitFailed, "", none, command)
	}
	got := tollgate(t, "journal", "verify", "-c", filepath.Join(k.data, "none.yaml"))
	if got.code != exitUsage || !strings.Contains(got.stderr, "none.yaml: no such file or directory") {
		t.Errorf("without a configuration: %+v", got)
	}
}
