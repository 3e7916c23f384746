package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The edges between what takes the short way and what does not.
var (
	edgeTexts = []string{
		"", "plain", " ", "\x7f", "\x1f", "\x80", "\xff\xfe", "é", "\u2028", "<&>", "a\nb", `"`, `\`, strings.Repeat("x", 256), strings.Repeat("x", 257),
	}
	edgeFloats = []float64{
		0, math.Copysign(0, -1), 1e-6, 9.99e-7, -9.99e-7, 1e20, 9.99e20, 1e21, -1e21, 0.001, math.NaN(), math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
)

func attrs() *rapid.Generator[slog.Attr] {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]*`), rapid.SampledFrom(edgeTexts))
	float := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1e6), rapid.SampledFrom(edgeFloats))
	return rapid.Custom(func(t *rapid.T) slog.Attr {
		key := rapid.OneOf(text, rapid.StringMatching(`[a-z_]{1,12}`)).Draw(t, "key")
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0, 1:
			return slog.String(key, text.Draw(t, "text"))
		case 2:
			return slog.Int64(key, rapid.Int64().Draw(t, "int"))
		case 3:
			return slog.Bool(key, rapid.Bool().Draw(t, "bool"))
		case 4, 5:
			return slog.Float64(key, float.Draw(t, "float"))
		case 6:
			return slog.Duration(key, time.Duration(rapid.Int64().Draw(t, "duration")))
		}
		return slog.Any(key, errors.New(text.Draw(t, "error")))
	})
}

// likeSlog holds the short way, where it is taken, against slog's own.
func likeSlog(t rapid.TB, now time.Time, level slog.Level, msg string, list ...slog.Attr) {
	t.Helper()
	r := slog.NewRecord(now, level, msg, 0)
	r.AddAttrs(list...)
	var want bytes.Buffer
	if err := slog.NewJSONHandler(&want, nil).Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	var line plainLine
	if line.build(now, level, msg, list) && string(line.json) != want.String() {
		t.Fatalf("got  %swant %s", line.json, &want)
	}
}

func TestPlainLineIsSlogs(t *testing.T) {
	for _, text := range edgeTexts {
		likeSlog(t, time.Now(), slog.LevelInfo, text, slog.String(text, "a"), slog.Bool("b", true))
		likeSlog(t, time.Now(), slog.LevelInfo, "a", slog.String("a", text), slog.Bool("b", true))
	}
	for _, float := range edgeFloats {
		likeSlog(t, time.Now(), slog.LevelInfo, "a", slog.Float64("a", float), slog.Bool("b", true))
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-12*60, 14*60).Draw(t, "zone")*60)
		now := time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
		level := slog.Level(rapid.IntRange(-8, 12).Draw(t, "level"))
		likeSlog(t, now, level, rapid.String().Draw(t, "message"), rapid.SliceOfN(attrs(), 0, 5).Draw(t, "attrs")...)
	})
}

// TestAccessLineIsSlogs has access lines that take the short way, and some that cannot.
func TestAccessLineIsSlogs(t *testing.T) {
	full := access()
	full.ErrorCode = "upstream_error"
	f := func(change func(*Access), with ...any) {
		t.Helper()
		a := full
		change(&a)
		var got, want bytes.Buffer
		log, end, err := NewLogger(&got, Config{LogLevel: "info", LogFormat: "json"})
		if err != nil {
			t.Fatal(err)
		}
		LogAccess(t.Context(), log.With(with...), a)
		end()
		LogAccess(t.Context(), slog.New(slog.NewJSONHandler(&want, nil)).With(with...), a)
		_, gotRest, _ := strings.Cut(got.String(), `"level"`)
		_, wantRest, _ := strings.Cut(want.String(), `"level"`)
		if gotRest != wantRest || gotRest == "" {
			t.Errorf("got  %swant %s", gotRest, wantRest)
		}
	}
	f(func(*Access) {})
	f(func(a *Access) { a.Status = 500 })
	f(func(a *Access) { *a = Access{} })
	f(func(a *Access) { a.ErrorCode = "é\n\"" })
	f(func(a *Access) { a.ErrorCode = strings.Repeat("x", 5000) })
	f(func(*Access) {}, "a", 1)
}
