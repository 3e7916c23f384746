package usage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fleet opens one and the same ledger again and again: what the first opening wrote,
// the next one finds. It may be called again only after the last ledger was closed.
type fleet func(t *testing.T) *Ledger

// testContract is what every storage must keep. newFleet makes an empty one.
func testContract(t *testing.T, newFleet func(t *testing.T) fleet) {
	for name, test := range map[string]func(*testing.T, fleet){
		"a record reads back as it was written":                     contractReadsBack,
		"duplicate rows change nothing":                             contractDuplicates,
		"duplicates in one batch change nothing":                    contractDuplicatesTogether,
		"records of a request come in the order of its life":        contractOrder,
		"an empty or shared upstream id collides with none":         contractUpstreamID,
		"requests counts settles and never attempts":                contractSettlesOnly,
		"there is one settle per request":                           contractOneSettle,
		"attempts add their cost to their own provider":             contractAttempts,
		"corrections add what they say, be it negative":             contractAdjusts,
		"every batch three times and out of order changes nothing":  contractRedelivery,
		"a record that cannot be kept takes no other with it":       contractRejections,
		"totals are the sum of the records":                         contractTotals,
		"days are UTC days and bounds are whole days":               contractDays,
		"a sum of nothing is zero":                                  contractSumOfNothing,
		"concurrent increments are not lost":                        contractConcurrent,
		"closing and opening again keeps all":                       contractReopen,
		"a total that would overflow takes no other record with it": contractOverflow,
		"records that overflow together take no other with them":    contractOverflowTogether,
		"records of one batch do not run into each other":           contractTogether,
		"labels do not run into each other":                         contractLabels,
		"bad records and bad queries are refused":                   contractRefusals,
	} {
		t.Run(name, func(t *testing.T) { test(t, newFleet(t)) })
	}
}

// settle is a record with all its fields, of the n-th request.
func settle(n int) Record {
	accepted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	return Record{
		RequestID: fmt.Sprintf("0199-%06d", n), Kind: KindSettle,
		Tenant: "acme", KeyID: "key_1", Model: "gemini-flash",
		Provider: "starmagic", Endpoint: "https://api.starmagic.ai/v1", UpstreamModel: "gemini-2.5-flash-lite",
		Stream: true, EndReason: EndCompleted, Source: SourceUpstream,
		Tokens: Tokens{Prompt: 13, Cached: 3, Completion: 1891, Reasoning: 1480, Image: 2, Audio: 1},
		Charge: 757_700, Cost: 605_120, ChargePrice: "gemini-flash@2026-01-01", CostPrice: "starmagic/gemini-2.5-flash-lite@2026-01-01",
		AcceptedAt: accepted, FirstByteAt: accepted.Add(300 * time.Millisecond), EndedAt: accepted.Add(2 * time.Second),
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", UpstreamID: "chatcmpl-1", Rejected: `{"prompt_tokens":-1}`,
		Trail: `{"attempts":[{"provider":"starmagic","outcome":"success"}]}`,
	}
}

// add gives the ledger a batch of one.
func add(t testing.TB, l *Ledger, r Record) error {
	t.Helper()
	return l.Add(t.Context(), []Record{r})
}

func mustRecord(t *testing.T, l *Ledger, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := add(t, l, r); err != nil {
			t.Fatalf("%s %s: %v", r.RequestID, r.Kind, err)
		}
	}
}

func mustSum(t *testing.T, l *Ledger, q Query) []Row {
	t.Helper()
	rows, err := l.Sum(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func mustFind(t *testing.T, l *Ledger, requestID string) []Record {
	t.Helper()
	records, err := l.ByRequest(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func contractReadsBack(t *testing.T, open fleet) {
	l := open(t)
	local := settle(1)
	local.AcceptedAt = local.AcceptedAt.In(time.FixedZone("CET", 3600))
	neverAnswered := settle(2)
	neverAnswered.FirstByteAt = time.Time{}
	mustRecord(t, l, local, neverAnswered)
	found := mustFind(t, l, settle(1).RequestID)
	same(t, []Record{settle(1)}, found)
	if zone := found[0].AcceptedAt.Location(); zone != time.UTC {
		t.Errorf("accepted_at reads back in %s, want UTC", zone)
	}
	same(t, []Record{neverAnswered}, mustFind(t, l, settle(2).RequestID))
	if got := mustFind(t, l, "0199"); got != nil {
		t.Errorf("the beginning of an id found %d records", len(got))
	}
	if got := mustFind(t, l, settle(1).RequestID+"\x00\x04"); got != nil {
		t.Errorf("an id with a zero byte found %d records", len(got))
	}
	if got := mustFind(t, l, ""); got != nil {
		t.Errorf("an empty id found %d records", len(got))
	}
}

// Regression titles: "duplicate rows per bridge", and G3: nothing counts twice.
func contractDuplicates(t *testing.T, open fleet) {
	l := open(t)
	mustRecord(t, l, settle(1))
	dearer := settle(1)
	dearer.Charge, dearer.Prompt, dearer.Tenant = 1_000_000, 99, "other"
	mustRecord(t, l, settle(1), dearer, settle(1))
	same(t, []Record{settle(1)}, mustFind(t, l, settle(1).RequestID))
	same(t, []Row{rowOf(settle(1))}, mustSum(t, l, Query{}))
}

func contractDuplicatesTogether(t *testing.T, open fleet) {
	l := open(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := add(t, l, settle(1)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	same(t, []Row{rowOf(settle(1))}, mustSum(t, l, Query{}))
}

func contractOrder(t *testing.T, open fleet) {
	l := open(t)
	var want []Record
	for _, kind := range []Kind{KindIntent, KindAttempt, KindCheckpoint, KindSettle, KindAdjust} {
		for _, attempt := range []int{0, 1, 2, 300} {
			r := settle(1)
			r.Kind, r.Attempt = kind, attempt
			if kind != KindSettle || attempt == 2 { // of settles there is one
				want = append(want, r)
			}
		}
	}
	for _, i := range rand.New(rand.NewPCG(5, 6)).Perm(len(want)) {
		mustRecord(t, l, want[i])
	}
	same(t, want, mustFind(t, l, settle(1).RequestID))
}

// Regression title: "empty upstream id collides on the primary key, later rows vanish".
func contractUpstreamID(t *testing.T, open fleet) {
	l := open(t)
	for n := range 6 {
		r := settle(n)
		r.UpstreamID = []string{"", "", "", "chatcmpl-same", "chatcmpl-same", "chatcmpl-same"}[n]
		mustRecord(t, l, r)
	}
	if rows := mustSum(t, l, Query{}); rows[0].Requests != 6 {
		t.Fatalf("%d requests, want 6", rows[0].Requests)
	}
}

func contractSettlesOnly(t *testing.T, open fleet) {
	l := open(t)
	for _, kind := range []Kind{KindIntent, KindAttempt, KindCheckpoint} {
		for attempt := range 3 {
			r := settle(1)
			r.Kind, r.Attempt, r.Cost = kind, attempt, 0
			mustRecord(t, l, r)
		}
	}
	mustRecord(t, l, settle(1))
	same(t, []Row{rowOf(settle(1))}, mustSum(t, l, Query{}))
}

// rowOf is the row of one settle, without labels.
func rowOf(r Record) Row {
	row := Row{
		Requests: 1, PromptTokens: r.Prompt, CachedTokens: r.Cached, CompletionTokens: r.Completion, ReasoningTokens: r.Reasoning,
		Charge: USD(r.Charge), Cost: USD(r.Cost),
	}
	if r.Source != SourceUpstream && r.Source != SourceNone {
		row.EstimatedRequests = 1
	}
	return row
}

// The totals of any grouping are what one gets by going through all the records.
func contractTotals(t *testing.T, open fleet) {
	l := open(t)
	random := rand.New(rand.NewPCG(7, 8))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	records := make([]Record, 200)
	for n := range records {
		r := settle(n)
		r.Tenant, r.KeyID = pick("acme", "umbrella"), pick("key_1", "key_2", "key_3")
		r.Model, r.Provider = pick("gemini-flash", "gemini-pro"), pick("starmagic", "evolink", "")
		r.Source = Source(pick("upstream", "estimated", "partial", "recovered", "rejected", "none"))
		r.Tokens = Tokens{Prompt: random.Int64N(1000) + 100, Cached: random.Int64N(100), Completion: random.Int64N(1000) + 100, Reasoning: random.Int64N(100)}
		r.Charge, r.Cost = NanoUSD(random.Int64N(1e9)), NanoUSD(random.Int64N(1e9))
		r.AcceptedAt = r.AcceptedAt.AddDate(0, 0, random.IntN(4))
		records[n] = r
	}
	var all sync.WaitGroup
	for _, r := range records {
		all.Go(func() {
			if err := add(t, l, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, by := range []string{"", "tenant", "key", "model", "provider", "day", "tenant,model,day", "day,tenant", "tenant,key,model,provider,day"} {
		for _, q := range []Query{{}, {Tenant: "acme"}, {KeyID: "key_2"}, {Tenant: "umbrella", KeyID: "key_3"}, {From: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}} {
			q.By, _ = ParseDimensions(by)
			same(t, rowsOf(q, records), mustSum(t, l, q))
		}
	}
}

// rowsOf answers a query the slow way, record by record.
func rowsOf(q Query, records []Record) []Row {
	rows := []Row{}
	if len(q.By) == 0 {
		rows = append(rows, Row{})
	}
	for _, r := range records {
		if q.Tenant != "" && q.Tenant != r.Tenant || q.KeyID != "" && q.KeyID != r.KeyID || r.AcceptedAt.Before(q.From) {
			continue
		}
		labels, one := Row{}, rowOf(r)
		for _, d := range q.By {
			switch d {
			case ByTenant:
				labels.Tenant = r.Tenant
			case ByKey:
				labels.KeyID = r.KeyID
			case ByModel:
				labels.Model = r.Model
			case ByProvider:
				labels.Provider = r.Provider
			case ByDay:
				labels.Day = r.AcceptedAt.UTC().Format("2006-01-02")
			}
		}
		i := slices.IndexFunc(rows, func(row Row) bool {
			return row.Tenant == labels.Tenant && row.KeyID == labels.KeyID && row.Model == labels.Model && row.Provider == labels.Provider && row.Day == labels.Day
		})
		if i < 0 {
			i, rows = len(rows), append(rows, labels)
		}
		row := &rows[i]
		row.Requests++
		row.PromptTokens += one.PromptTokens
		row.CachedTokens += one.CachedTokens
		row.CompletionTokens += one.CompletionTokens
		row.ReasoningTokens += one.ReasoningTokens
		row.Charge += one.Charge
		row.Cost += one.Cost
		row.EstimatedRequests += one.EstimatedRequests
	}
	slices.SortFunc(rows, func(x, y Row) int {
		for _, d := range q.By {
			label := map[Dimension][2]string{
				ByTenant: {x.Tenant, y.Tenant}, ByKey: {x.KeyID, y.KeyID}, ByModel: {x.Model, y.Model}, ByProvider: {x.Provider, y.Provider}, ByDay: {x.Day, y.Day},
			}[d]
			if c := strings.Compare(label[0], label[1]); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

func contractDays(t *testing.T, open fleet) {
	l := open(t)
	for n, accepted := range []string{
		"2026-02-28T23:59:59.999999999Z",
		"2026-03-01T00:00:00Z",
		"2026-03-01T23:30:00-02:00", // the second of March in UTC
		"2026-03-03T01:00:00+02:00", // also
		"2026-03-03T00:00:00Z",
	} {
		r := settle(n)
		r.AcceptedAt = at(t, accepted)
		mustRecord(t, l, r)
	}
	f := func(from, to, want string) {
		t.Helper()
		q := Query{By: []Dimension{ByDay}}
		if from != "" {
			q.From = at(t, from)
		}
		if to != "" {
			q.To = at(t, to)
		}
		var got []string
		for _, row := range mustSum(t, l, q) {
			got = append(got, fmt.Sprintf("%s:%d", row.Day[5:], row.Requests))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("from %s to %s: %s, want %s", from, to, strings.Join(got, " "), want)
		}
	}
	f("", "", "02-28:1 03-01:1 03-02:2 03-03:1")
	f("2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z", "03-01:1 03-02:2")
	f("2026-03-02T00:00:00Z", "", "03-02:2 03-03:1")
	f("", "2026-03-01T00:00:00Z", "02-28:1")
	// An instant within a day takes the whole day.
	f("2026-03-01T18:00:00Z", "2026-03-02T00:00:00.000000001Z", "03-01:1 03-02:2")
	f("2026-03-02T00:30:00+01:00", "2026-03-02T00:45:00+01:00", "03-01:1")
	f("2027-01-01T00:00:00Z", "", "")
}

func contractSumOfNothing(t *testing.T, open fleet) {
	l := open(t)
	same(t, []Row{{}}, mustSum(t, l, Query{}))
	same(t, []Row{}, mustSum(t, l, Query{By: []Dimension{ByTenant}}))
}

// Regression title: "read-modify-write loses increments".
func contractConcurrent(t *testing.T, open fleet) {
	l := open(t)
	const recorders, each = 64, 5
	var all sync.WaitGroup
	for recorder := range recorders {
		all.Go(func() {
			for n := range each {
				if err := add(t, l, settle(recorder*each+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	rows := mustSum(t, l, Query{})
	if rows[0].Requests != recorders*each || rows[0].Charge != recorders*each*757_700 {
		t.Fatalf("%d requests for %s, want %d for %s", rows[0].Requests, rows[0].Charge, recorders*each, USD(recorders*each*757_700))
	}
}

// Regression title: "every deploy loses spend rows".
func contractReopen(t *testing.T, open fleet) {
	l := open(t)
	for n := range 10 {
		mustRecord(t, l, settle(n))
	}
	before := mustSum(t, l, Query{By: []Dimension{ByTenant, ByDay}})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t)
	same(t, before, mustSum(t, l, Query{By: []Dimension{ByTenant, ByDay}}))
	same(t, []Record{settle(7)}, mustFind(t, l, settle(7).RequestID))
	mustRecord(t, l, settle(7), settle(10))
	if rows := mustSum(t, l, Query{}); rows[0].Requests != 11 {
		t.Fatalf("%d requests, want 11", rows[0].Requests)
	}
}

// Regression title: "int overflow turns a charge into a credit".
func contractOverflow(t *testing.T, open fleet) {
	l := open(t)
	dear := func(n int) Record {
		r := settle(n)
		r.Charge = math.MaxInt64 - 1_000_000
		return r
	}
	mustRecord(t, l, dear(0), settle(1))
	var all sync.WaitGroup
	errs := make([]error, 20)
	for n := range errs {
		all.Go(func() {
			r := dear(2 + n)
			if n%2 == 0 {
				r = settle(2 + n)
				r.Tenant = "other"
			}
			errs[n] = add(t, l, r)
		})
	}
	all.Wait()
	for n, err := range errs {
		if refused := errors.Is(err, ErrBadRecord) && errors.Is(err, ErrOverflow); refused != (n%2 == 1) || !refused && err != nil {
			t.Errorf("record %d: %v", n, err)
		}
	}
	// Both tenants together are more than fits, which a sum must say too.
	if _, err := l.Sum(t.Context(), Query{}); !errors.Is(err, ErrOverflow) {
		t.Errorf("sum of all: %v, want ErrOverflow", err)
	}
	rows := mustSum(t, l, Query{By: []Dimension{ByTenant}})
	if len(rows) != 2 || rows[0].Charge != USD(math.MaxInt64-1_000_000+757_700) || rows[1].Requests != 10 {
		t.Fatalf("got %+v", rows)
	}
	if got := mustFind(t, l, dear(3).RequestID); got != nil {
		t.Fatalf("a refused record was kept: %+v", got)
	}
}

// A bucket that overflows within a batch keeps what fits.
func contractOverflowTogether(t *testing.T, open fleet) {
	l := open(t)
	const each = 10
	dear := func(n int) Record {
		r := settle(n)
		r.Charge = math.MaxInt64/2 + 1
		return r
	}
	var all sync.WaitGroup
	errs := make([]error, each)
	for n := range each {
		all.Go(func() { errs[n] = add(t, l, dear(n)) })
		all.Go(func() {
			r := settle(each + n)
			r.Tenant = "other"
			if err := add(t, l, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kept := 0
	for n, err := range errs {
		found := mustFind(t, l, dear(n).RequestID)
		switch {
		case err == nil && len(found) == 1:
			kept++
		case !errors.Is(err, ErrOverflow) || len(found) != 0:
			t.Errorf("record %d: %v, and %d kept", n, err, len(found))
		}
	}
	rows := mustSum(t, l, Query{By: []Dimension{ByTenant}})
	if kept != 1 || len(rows) != 2 || rows[0].Requests != 1 || rows[0].Charge != math.MaxInt64/2+1 || rows[1].Requests != each {
		t.Fatalf("%d kept, %+v", kept, rows)
	}
}

// Records of all sizes, each of them twice.
func contractTogether(t *testing.T, open fleet) {
	l := open(t)
	sized := func(n int) Record {
		r := settle(n)
		r.Rejected = strings.Repeat(string(rune('a'+n%26)), n*37%maxRemark)
		return r
	}
	const count = 200
	var all sync.WaitGroup
	for n := range 2 * count {
		all.Go(func() {
			if err := add(t, l, sized(n%count)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for n := range count {
		same(t, []Record{sized(n)}, mustFind(t, l, sized(n).RequestID))
	}
	if rows := mustSum(t, l, Query{}); rows[0].Requests != count || rows[0].Charge != count*757_700 {
		t.Fatalf("got %+v", rows)
	}
}

func contractLabels(t *testing.T, open fleet) {
	l := open(t)
	for n, labels := range [][2]string{{"a", "b|c"}, {"a|b", "c"}, {"ab", ""}, {"", "ab"}, {"a\nb", "ü"}} {
		r := settle(n)
		r.Tenant, r.KeyID = labels[0], labels[1]
		mustRecord(t, l, r)
	}
	var got []string
	for _, row := range mustSum(t, l, Query{By: []Dimension{ByTenant, ByKey}}) {
		got = append(got, row.Tenant+"/"+row.KeyID)
	}
	same(t, []string{"/ab", "a/b|c", "a\nb/ü", "ab/", "a|b/c"}, got)
}

func contractRefusals(t *testing.T, open fleet) {
	l := open(t)
	f := func(break_ func(*Record), want string) {
		t.Helper()
		r := settle(1)
		break_(&r)
		if err := add(t, l, r); !errors.Is(err, ErrBadRecord) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f(func(r *Record) { r.RequestID = "" }, "request_id is empty")
	f(func(r *Record) { r.RequestID = "a\x00b" }, "request_id holds a zero byte or is longer than 1024 bytes")
	f(func(r *Record) { r.Model = strings.Repeat("m", 1025) }, "model holds a zero byte or is longer than 1024 bytes")
	f(func(r *Record) { r.Kind = "settled" }, `kind "settled" is not known`)
	f(func(r *Record) { r.Attempt = -1 }, "attempt must be from 0 to 65535, got -1")
	f(func(r *Record) { r.Charge = -1 }, "charge and cost must be 0 or more, got -0.000000001 and 0.00060512")
	f(func(r *Record) { r.AcceptedAt = time.Time{} }, "accepted_at is missing or in the year 1")
	f(func(r *Record) { r.EndedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "first_byte_at is in the year 2026 and ended_at in 10000")
	f(func(r *Record) { r.FirstByteAt = time.Date(9999, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) }, "first_byte_at is in the year 10000 and ended_at in 2026")
	// Regression title: "negative upstream usage lowers the spend".
	f(func(r *Record) { r.Prompt = -1 }, "prompt_tokens must be from 0 to 2147483647, got -1")
	same(t, []Row{{}}, mustSum(t, l, Query{}))

	when := at(t, "2026-03-01T00:00:00Z")
	for _, q := range []Query{{From: when, To: when.Add(-time.Hour)}, {From: when, To: when}, {By: []Dimension{"colour"}}} {
		if _, err := l.Sum(t.Context(), q); !errors.Is(err, ErrBadQuery) {
			t.Errorf("%+v: %v, want ErrBadQuery", q, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	mustRecord(t, l, settle(1))
	if _, err := l.Sum(cancelled, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("sum with a cancelled context: %v", err)
	}
}
