package usage

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// What stands in the files of those who have run Tollgate: it must not change, and must stay readable.
const (
	storedRecord = `{"request_id":"0199-000001","kind":"settle","attempt":0,"tenant":"acme","key_id":"key_1","model":"gemini-flash",` +
		`"provider":"starmagic","endpoint":"https://api.starmagic.ai/v1","upstream_model":"gemini-2.5-flash-lite","stream":true,` +
		`"end_reason":"completed","source":"upstream","prompt_tokens":13,"cached_tokens":3,"completion_tokens":1891,"reasoning_tokens":1480,` +
		`"image_tokens":2,"audio_tokens":1,"charge_nanousd":757700,"cost_nanousd":605120,"charge_price":"gemini-flash@2026-01-01",` +
		`"cost_price":"starmagic/gemini-2.5-flash-lite@2026-01-01","accepted_at":"2026-03-01T12:00:00.001Z",` +
		`"first_byte_at":"2026-03-01T12:00:00.301Z","ended_at":"2026-03-01T12:00:02.001Z","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",` +
		`"upstream_id":"chatcmpl-1","rejected":"{\"prompt_tokens\":-1}",` +
		`"trail":{"attempts":[{"provider":"starmagic","outcome":"success"}]}}`
	storedTotals = `{"requests":1,"estimated":0,"prompt":13,"cached":3,"completion":1891,"reasoning":1480,"charge_nanousd":757700,"cost_nanousd":605120}`

	storedRecordKey = "0199-000001\x00\x04\x00\x00"
	storedTotalsKey = "2026-03-01\x00acme\x00key_1\x00gemini-flash\x00starmagic"
)

func TestStoredFormIsWrittenAsEver(t *testing.T) {
	l, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	mustRecord(t, l, settle(1))
	err := db.View(func(tx *bolt.Tx) error {
		records, allTotals := buckets(tx)
		same(t, storedRecord, string(records.Get([]byte(storedRecordKey))))
		same(t, storedTotals, string(allTotals.Get([]byte(storedTotalsKey))))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A newer Tollgate may add fields, and an older one may not have had them all.
func TestStoredFormOfOtherVersionsIsRead(t *testing.T) {
	f := func(record, totals string, wantRecord Record, wantCached int64) {
		t.Helper()
		l, db := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
		err := db.Update(func(tx *bolt.Tx) error {
			records, allTotals := buckets(tx)
			if err := records.Put([]byte(storedRecordKey), []byte(record)); err != nil {
				return err
			}
			return allTotals.Put([]byte(storedTotalsKey), []byte(totals))
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, []Record{wantRecord}, mustFind(t, l, settle(1).RequestID))
		mustRecord(t, l, settle(2))
		rows := mustSum(t, l, Query{})
		if rows[0].Requests != 2 || rows[0].CachedTokens != wantCached || rows[0].Charge != 2*757_700 {
			t.Errorf("got %+v", rows)
		}
	}
	f(storedRecord, storedTotals, settle(1), 6)
	f(`{"colour":"red",`+storedRecord[1:], `{"colours":[1],`+storedTotals[1:], settle(1), 6)
	older := settle(1)
	older.Cached, older.Trail = 0, ""
	beforeTrails, _, _ := strings.Cut(storedRecord, `,"trail"`)
	f(strings.Replace(beforeTrails+"}", `"cached_tokens":3,`, "", 1), strings.Replace(storedTotals, `"cached":3,`, "", 1), older, 3)
}

// sameEncoding compares what is stored with what encoding/json makes of it.
func sameEncoding(t rapid.TB, r Record) {
	t.Helper()
	r.Trail = r.Trail.object() // as a checked record has it
	want, wantErr := json.Marshal(r)
	got, err := appendRecord([]byte("before"), &r)
	if (err == nil) != (wantErr == nil) || err == nil && string(got) != "before"+string(want) {
		t.Fatalf("got\n%s, %v, want\n%s, %v", got, err, want, wantErr)
	}
}

func TestRecordsAreEncodedAsByEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { sameEncoding(t, anyRecord(t)) })
}

// anyRecord has whatever a field can hold in every field.
func anyRecord(t *rapid.T) Record {
	hostile := rapid.OneOf(
		rapid.SampledFrom([]string{"", "gemini-flash", "a\"b\\c", "<&>", "\u2028\u2029\ufffd", "\x00\b\f\n\r\t\x1f\x7f", "\xff\xc0\xed\xa0\x80", "\U0001f600 é", `\u003c`}),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	text := func(name string) string { return hostile.Draw(t, name) }
	figure := func(name string) int64 { return rapid.Int64().Draw(t, name) }
	moment := func(name string) time.Time {
		return rapid.OneOf(
			rapid.Just(time.Time{}),
			rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(0, n).UTC() }),
			rapid.Map(rapid.Int64Range(-1<<40, 1<<40), func(s int64) time.Time { return time.Unix(s, 0).UTC() }),
		).Draw(t, name)
	}
	return Record{
		RequestID: text("request id"), Kind: Kind(text("kind")), Attempt: int(figure("attempt")), Tenant: text("tenant"), KeyID: text("key"),
		Model: text("model"), Provider: text("provider"), Endpoint: text("endpoint"), UpstreamModel: text("upstream model"),
		Stream: rapid.Bool().Draw(t, "stream"), EndReason: EndReason(text("end")), Source: Source(text("source")),
		Tokens:    Tokens{figure("prompt"), figure("cached"), figure("completion"), figure("reasoning"), figure("image"), figure("audio")},
		Delivered: figure("delivered"), MaxCompletion: figure("max completion"),
		Charge: NanoUSD(figure("charge")), Cost: NanoUSD(figure("cost")), ChargePrice: text("charge price"), CostPrice: text("cost price"),
		AcceptedAt: moment("accepted"), FirstByteAt: moment("first byte"), EndedAt: moment("ended"),
		TraceID: text("trace"), UpstreamID: text("upstream id"), Rejected: text("rejected"),
		Trail: rapid.Custom(func(t *rapid.T) JSON {
			if rapid.Bool().Draw(t, "no trail") {
				return ""
			}
			object, err := json.Marshal(map[string]string{text("trail's name"): text("trail's value")})
			if err != nil {
				t.Fatal(err)
			}
			return JSON(strings.ReplaceAll(string(object), `\u003c`, "<"))
		}).Draw(t, "trail"),
	}
}

// fill gives every field of a struct a value of its own that is not zero.
func fill(t *testing.T, v reflect.Value, next *int64) {
	t.Helper()
	for i := range v.NumField() {
		*next++
		switch field := v.Field(i); field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Unix(*next, 0).UTC()))
		case Tokens:
			fill(t, field, next)
		case JSON:
			field.SetString(fmt.Sprintf(`{"text":%d}`, *next))
		default:
			switch {
			case field.CanInt():
				field.SetInt(*next)
			case field.Kind() == reflect.String:
				field.SetString("text " + string(rune('a'+*next)))
			case field.Kind() == reflect.Bool:
				field.SetBool(true)
			default:
				t.Fatalf("a field of type %s", field.Type())
			}
		}
	}
}

// A field that is added to a struct must be added to its encoder.
func TestEveryFieldIsEncoded(t *testing.T) {
	var r Record
	var sum totals
	var next int64
	fill(t, reflect.ValueOf(&r).Elem(), &next)
	fill(t, reflect.ValueOf(&sum).Elem(), &next)
	sameEncoding(t, r)
	if r.Trail.object() == "" {
		t.Error("the trail was not encoded")
	}
	for _, sum := range []totals{sum, {}, {Requests: math.MinInt64, Cost: math.MaxInt64}} {
		want, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		same(t, string(want), string(appendTotals(nil, &sum)))
	}
}

// A trail is stored compact and in encoding/json's spelling, and whatever is no such
// object is left out: the bill is kept all the same.
func TestTrail(t *testing.T) {
	l, _ := openFile(t, filepath.Join(t.TempDir(), "ledger.db"))
	n := 0
	f := func(trail, want JSON) {
		t.Helper()
		n++
		written, wanted := settle(n), settle(n)
		written.Trail, wanted.Trail = trail, want
		mustRecord(t, l, written)
		same(t, []Record{wanted}, mustFind(t, l, written.RequestID))
	}
	f(`{"attempts":[]}`, `{"attempts":[]}`)
	f(" {\n\t\"attempts\": [ 1.0, null ] }\n", `{"attempts":[1.0,null]}`)
	f(`{"why":"<é&\u00e9>"}`, `{"why":"\u003cé\u0026\u00e9\u003e"}`)
	f("{\"why\":\"\u2028\"}", `{"why":"\u2028"}`)

	sized := func(n int) JSON { return JSON(`{"why":"` + strings.Repeat("a", n-10) + `"}`) }
	f(sized(8<<10), sized(8<<10))
	f(sized(8<<10+1), "")
	f(JSON(`{"why":"`+strings.Repeat("<", 8<<8)+`"}`), "") // longer when it is written
	for _, no := range []JSON{"", "null", "[]", `"text"`, "1", "{", "{}{}", `{"a":1},"charge_nanousd":0`, `{"why":"` + "\xff" + `"}`, "{\x00}"} {
		f(no, "")
	}
	rows := mustSum(t, l, Query{})
	if rows[0].Requests != int64(n) || rows[0].Charge != USD(n)*757_700 {
		t.Errorf("%d requests were billed as %+v", n, rows)
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	r := settle(1)
	r.Rejected = "" // as in nearly all records
	b.ReportAllocs()
	var room []byte
	for b.Loop() {
		var err error
		if room, err = appendRecord(room[:0], &r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMarshalRecord is what BenchmarkAppendRecord is compared with.
func BenchmarkMarshalRecord(b *testing.B) {
	r := settle(1)
	r.Rejected = ""
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&r); err != nil {
			b.Fatal(err)
		}
	}
}
