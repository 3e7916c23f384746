package usage

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sameDecoding compares what decodeRecord reads with what encoding/json does, and says
// whether it was read by hand.
func sameDecoding(t rapid.TB, payload []byte) (byHand bool) {
	t.Helper()
	var want Record
	wantErr := json.Unmarshal(payload, &want)
	got, err := decodeRecord(payload)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s\ngot %v, want %v", payload, err, wantErr)
	}
	if wantErr != nil {
		want = Record{} // what encoding/json leaves of a broken record is not worth keeping
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s\n(-want +got):\n%s", payload, diff)
	}
	var r Record
	s := scanner{rest: string(payload)}
	return s.record(&r)
}

func TestRecordsAreDecodedAsByEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		r.Trail = r.Trail.object()
		payload, err := appendRecord(nil, &r)
		if err != nil {
			return
		}
		if !sameDecoding(t, payload) {
			t.Fatalf("what appendRecord writes was left to encoding/json: %s", payload)
		}
		at := rapid.IntRange(0, len(payload)-1).Draw(t, "at")
		payload[at] = rapid.Byte().Draw(t, "broken")
		sameDecoding(t, payload)
		sameDecoding(t, payload[:at])
	})
}

// A field that is added to a record must be added to its decoder.
func TestEveryFieldIsDecoded(t *testing.T) {
	var r Record
	var next int64
	fill(t, reflect.ValueOf(&r).Elem(), &next)
	for _, want := range []Record{r, {}, settle(1)} {
		payload, err := appendRecord(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		if !sameDecoding(t, payload) {
			t.Errorf("left to encoding/json: %s", payload)
		}
		got, _ := decodeRecord(payload)
		same(t, want, got)
	}
}

func TestDecodeRecordReadsAnyJSONOfOne(t *testing.T) {
	f := func(old, new string) {
		t.Helper()
		changed := strings.Replace(storedRecord, old, new, 1)
		if changed == storedRecord {
			t.Errorf("there is no %s", old)
		}
		sameDecoding(t, []byte(changed))
	}
	f(`"attempt":0`, `"attempt":00`)
	f(`"attempt":0`, `"attempt":-0`)
	f(`"attempt":0`, `"attempt":-`)
	f(`"attempt":0`, `"attempt":`)
	f(`"attempt":0`, `"attempt":1e3`)
	f(`"attempt":0`, `"attempt":9223372036854775808`)
	f(`"attempt":0`, `"attempt":-9223372036854775808`)
	f(`"attempt":0`, `"attempt": 0`)
	f(`"attempt":0`, `"attempt":0,"attempt":1`)
	f(`"attempt":0,`, ``)
	f(`"tenant":"acme"`, `"TENANT":"acme"`)
	f(`"tenant":"acme"`, `"tenant":null`)
	f(`"tenant":"acme"`, `"tenant":"\ud800"`)
	f(`"tenant":"acme"`, `"tenant":"\q"`)
	f(`"tenant":"acme"`, `"tenant":"ac`+"\n"+`me"`)
	f(`"tenant":"acme"`, `"tenant":"ac\`)
	f(`"stream":true`, `"stream":True`)
	f(`"2026-03-01T12:00:00.001Z"`, `"2026-03-01T12:00:00.001+01:00"`)
	f(`"2026-03-01T12:00:00.001Z"`, `"2026-03-01T12:00:00,001Z"`)
	f(`"2026-03-01T12:00:00.001Z"`, `"2026-03-01"`)
	f(`"2026-03-01T12:00:00.001Z"`, `null`)
	f(`"trail":{`, `"trail": {`)
	f(`"success"}]}}`, `"success"}]} }`)
	f(`"success"}]}}`, `"success"}]},"trail":{}}`)
	f(`"success"}]}}`, `"success"}]}}}`)
	f(`"success"}]}}`, `"success"}]}`)
	f(`"success"}]}}`, `"success"}]}}`+"\n")
	f(`{"attempts":[{"provider":"starmagic","outcome":"success"}]}`, `null`)
	if _, err := decodeRecord([]byte("{")); err == nil || err.Error() != "it is not a usage record: unexpected end of JSON input" {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(storedRecord))
	f.Add([]byte(`{"request_id":"a","accepted_at":"2026-03-01T12:00:00Z","trail":[1]}`))
	minimal, err := appendRecord(nil, &Record{AcceptedAt: time.Unix(0, 0).UTC()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(minimal)
	f.Fuzz(func(t *testing.T, payload []byte) { sameDecoding(t, payload) })
}

func BenchmarkDecodeRecord(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord([]byte(storedRecord)); err != nil {
			b.Fatal(err)
		}
	}
}
