package usage

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	saneUsage   = `{"prompt_tokens":13,"completion_tokens":1891,"total_tokens":1904}`
	zeroUsage   = `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`
	insaneUsage = `{"prompt_tokens":13,"completion_tokens":-1}`
)

// TestChargingTable goes through the table row by row. The client allowed 2,000
// completion tokens; Tollgate itself counted 12 and 40.
func TestChargingTable(t *testing.T) {
	var (
		reported = Tokens{Prompt: 13, Completion: 1891}
		counted  = Tokens{Prompt: 12, Completion: 40}
		worst    = Tokens{Prompt: 12, Completion: 2000}
		prompt   = Tokens{Prompt: 12}
		nothing  = Tokens{}
		bad      = []byte(insaneUsage)
	)
	const delivered, empty = true, false
	f := func(end EndReason, delivered bool, usage string, want Verdict) {
		t.Helper()
		asked := 0
		got := Decide(Answer{
			End: end, Delivered: delivered, Reported: []byte(usage), MaxCompletion: 2000,
			Estimate: func() Tokens { asked++; return counted },
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, delivered %t, usage %q (-want +got):\n%s", end, delivered, usage, diff)
		}
		if asked > 1 || asked == 1 && (want.Source == SourceUpstream || want.Source == SourceNone) {
			t.Errorf("%s, delivered %t, usage %q: the estimate was asked for %d times", end, delivered, usage, asked)
		}
	}
	verdict := func(source Source, charged bool, tokens, cost Tokens, quarantined []byte) Verdict {
		return Verdict{Tokens: tokens, Cost: cost, Source: source, Charged: charged, Quarantined: quarantined}
	}

	// Complete: what the provider says, or else our count. Zero with no content is true; zero with content is not.
	f(EndCompleted, delivered, saneUsage, verdict(SourceUpstream, true, reported, reported, nil))
	f(EndCompleted, delivered, "", verdict(SourceEstimated, true, counted, counted, nil))
	f(EndCompleted, delivered, "null", verdict(SourceEstimated, true, counted, counted, nil))
	f(EndCompleted, delivered, insaneUsage, verdict(SourceRejected, true, counted, counted, bad))
	f(EndCompleted, delivered, zeroUsage, verdict(SourceRejected, true, counted, counted, []byte(zeroUsage)))
	f(EndCompleted, empty, zeroUsage, verdict(SourceUpstream, true, nothing, nothing, nil))
	f(EndCompleted, empty, saneUsage, verdict(SourceUpstream, true, reported, reported, nil))
	f(EndCompleted, empty, "", verdict(SourceEstimated, true, counted, counted, nil))

	// The client left: it pays for the prompt and for what it got, or what the provider reported to the end.
	f(EndClientGone, delivered, saneUsage, verdict(SourceUpstream, true, reported, reported, nil))
	f(EndClientGone, delivered, "", verdict(SourcePartial, true, counted, worst, nil))
	f(EndClientGone, delivered, insaneUsage, verdict(SourceRejected, true, counted, worst, bad))
	f(EndClientGone, empty, "", verdict(SourcePartial, true, prompt, worst, nil))

	// An upstream fault, or ours: what was delivered is paid for, an empty answer never.
	for _, end := range []EndReason{EndUpstreamCut, EndUpstreamTimeout, EndShutdown, EndKeyRevoked, "of a later version"} {
		f(end, delivered, saneUsage, verdict(SourceUpstream, true, reported, reported, nil))
		f(end, delivered, "", verdict(SourcePartial, true, counted, worst, nil))
		f(end, delivered, insaneUsage, verdict(SourceRejected, true, counted, worst, bad))
		f(end, empty, "", verdict(SourcePartial, false, nothing, worst, nil))
		f(end, empty, saneUsage, verdict(SourcePartial, false, nothing, reported, nil))
		f(end, empty, insaneUsage, verdict(SourcePartial, false, nothing, worst, bad))
		f(end, empty, zeroUsage, verdict(SourceUpstream, false, nothing, nothing, nil))
	}
	f(EndNoOutput, empty, "", verdict(SourcePartial, false, nothing, worst, nil))
	f(EndNoOutput, empty, saneUsage, verdict(SourcePartial, false, nothing, reported, nil))
	f(EndNoOutput, empty, zeroUsage, verdict(SourceUpstream, false, nothing, nothing, nil))

	// No answer began: there is nothing to count, whatever a usage object may say.
	f(EndUpstreamFailed, empty, saneUsage, verdict(SourceNone, false, nothing, nothing, nil))
	f(EndRefused, empty, "", verdict(SourceNone, false, nothing, nothing, nil))

	// Tollgate died: the last checkpoint stands for what was delivered.
	f(EndRecovered, delivered, "", verdict(SourceRecovered, true, counted, worst, nil))
	f(EndRecovered, empty, "", verdict(SourceRecovered, false, nothing, worst, nil))
}

// Regression title: "usage of a cancelled stream is recorded as 0 or 1 token".
func TestUsageOfACancelledStreamIsWhatWasDelivered(t *testing.T) {
	v := Decide(Answer{End: EndClientGone, Delivered: true, Estimate: func() Tokens { return Tokens{Prompt: 100, Completion: 806} }})
	if v.Tokens != (Tokens{Prompt: 100, Completion: 806}) || v.Source != SourcePartial || !v.Charged {
		t.Fatalf("got %+v", v)
	}
}

// Regression title: "zero usage replaced by an estimate although zero was true".
func TestTrueZeroUsageIsNotReplacedByAnEstimate(t *testing.T) {
	v := Decide(Answer{End: EndCompleted, Reported: []byte(zeroUsage), Estimate: func() Tokens {
		t.Error("the estimate was asked for")
		return Tokens{Prompt: 1}
	}})
	if v.Tokens != (Tokens{}) || v.Source != SourceUpstream {
		t.Fatalf("got %+v", v)
	}
}

// Regression title: "prompt billed when nothing was delivered".
func TestPromptIsNotBilledWhenAnUpstreamFaultDeliveredNothing(t *testing.T) {
	for _, end := range []EndReason{EndUpstreamCut, EndUpstreamTimeout, EndUpstreamFailed, EndNoOutput, EndShutdown, EndKeyRevoked, EndRefused} {
		v := Decide(Answer{End: end, Estimate: func() Tokens { return Tokens{Prompt: 1000} }})
		if v.Charged || v.Tokens != (Tokens{}) {
			t.Errorf("%s: got %+v", end, v)
		}
	}
}

// Regression title: "everything refunded when the final usage is missing".
func TestMissingFinalUsageIsNotARefund(t *testing.T) {
	v := Decide(Answer{End: EndUpstreamCut, Delivered: true, Estimate: func() Tokens { return Tokens{Prompt: 10, Completion: 20} }})
	if !v.Charged || v.Tokens != (Tokens{Prompt: 10, Completion: 20}) {
		t.Fatalf("got %+v", v)
	}
}

// Regression titles: "partial rows priced 0", "partial text billed all as
// completion", "token classes counted twice" and "negative upstream usage lowers the
// spend": from what was seen of an answer to what is charged for it.
func TestFromAnswerToCharge(t *testing.T) {
	b := book(t, Config{Prices: []PriceConfig{{Model: "m", Input: "1.00", CachedInput: "0.25", Output: "10.00"}}})
	f := func(a Answer, want string) {
		t.Helper()
		a.Estimate = func() Tokens { return Tokens{Prompt: 1000, Completion: 100} }
		v := Decide(a)
		if got, _, err := b.Charge("m", v.Tokens, at(t, "2026-01-01T00:00:00Z")); err != nil || got.String() != want {
			t.Errorf("%s, %s: charged %s, %v, want %s", a.End, a.Reported, got, err, want)
		}
	}
	f(Answer{End: EndCompleted, Delivered: true, Reported: []byte(documentedUsage)}, "0.018923")
	f(Answer{End: EndCompleted, Delivered: true, Reported: []byte(`{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":800}}`)}, "0.0014")
	f(Answer{End: EndCompleted, Delivered: true, Reported: []byte(insaneUsage)}, "0.002")
	f(Answer{End: EndCompleted, Delivered: true}, "0.002")
	f(Answer{End: EndClientGone, Delivered: true}, "0.002")
	f(Answer{End: EndClientGone}, "0.001")
	f(Answer{End: EndUpstreamCut, Delivered: true}, "0.002")
	f(Answer{End: EndUpstreamCut}, "0.00")
	f(Answer{End: EndRefused}, "0.00")
}

func TestCompletionFarAboveWhatWasAllowedIsRejected(t *testing.T) {
	f := func(allowed int64, want Source) {
		t.Helper()
		v := Decide(Answer{
			End: EndCompleted, Delivered: true, Reported: []byte(saneUsage), MaxCompletion: allowed,
			Estimate: func() Tokens { return Tokens{Prompt: 10, Completion: 5000} },
		})
		if v.Source != want {
			t.Errorf("1891 tokens of %d allowed: %s, want %s", allowed, v.Source, want)
		}
		if want == SourceRejected && v.Tokens.Completion != allowed {
			t.Errorf("the estimate of 5000 was charged as %d of %d allowed", v.Tokens.Completion, allowed)
		}
	}
	f(0, SourceUpstream)
	f(1891, SourceUpstream)
	f(1720, SourceUpstream)
	f(1719, SourceRejected)
}

func TestQuarantineIsACopyAndBounded(t *testing.T) {
	raw := []byte(`{"prompt_tokens":"` + strings.Repeat("x", 4000) + `"}`)
	want := string(raw[:2048])
	v := Decide(Answer{End: EndCompleted, Reported: raw})
	clear(raw)
	if string(v.Quarantined) != want {
		t.Fatalf("quarantined %d bytes: %.40q", len(v.Quarantined), v.Quarantined)
	}
}

func TestRequestThatReachedNoProviderCostsNothing(t *testing.T) {
	f := func(estimate func() Tokens) {
		t.Helper()
		want := Verdict{Source: SourcePartial, Charged: true}
		if diff := cmp.Diff(want, Decide(Answer{End: EndClientGone, MaxCompletion: 1000, Estimate: estimate})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(nil)
	f(func() Tokens { return Tokens{} })
}

// Whatever ends however, the verdict can be priced and recorded, and the tenant
// never pays for an answer that a fault left empty.
func TestVerdictProperties(t *testing.T) {
	ends := []EndReason{
		EndCompleted, EndClientGone, EndUpstreamCut, EndUpstreamTimeout, EndUpstreamFailed, EndRefused, EndNoOutput, EndShutdown, EndKeyRevoked, EndRecovered, "",
	}
	rapid.Check(t, func(t *rapid.T) {
		figure := rapid.Int64()
		a := Answer{
			End:           rapid.SampledFrom(ends).Draw(t, "end"),
			Reported:      []byte(rapid.SampledFrom([]string{"", saneUsage, zeroUsage, insaneUsage, documentedUsage}).Draw(t, "usage")),
			MaxCompletion: figure.Draw(t, "max"),
			Delivered:     rapid.Bool().Draw(t, "delivered"),
			Estimate: func() Tokens {
				return Tokens{figure.Draw(t, "p"), figure.Draw(t, "c"), figure.Draw(t, "o"), figure.Draw(t, "r"), figure.Draw(t, "i"), figure.Draw(t, "a")}
			},
		}
		v := Decide(a)
		if err := v.Tokens.valid(); err != nil {
			t.Fatalf("tokens: %v", err)
		}
		if err := v.Cost.valid(); err != nil {
			t.Fatalf("cost: %v", err)
		}
		if !v.Charged && v.Tokens != (Tokens{}) {
			t.Fatalf("not charged, but %+v", v.Tokens)
		}
		if !a.Delivered && v.Charged && a.End != EndCompleted && a.End != EndClientGone {
			t.Fatalf("charged for an empty answer that ended in %s", a.End)
		}
	})
}
