package usage

import (
	"fmt"
	"slices"
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

// billed is a verdict in a line. Tokens are written as prompt+completion.
func billed(v Verdict) string {
	pays := "pays nothing"
	if v.Charged {
		pays = fmt.Sprintf("pays %d+%d", v.Tokens.Prompt, v.Tokens.Completion)
	} else if v.Tokens != (Tokens{}) {
		pays = "is not charged, and yet has tokens"
	}
	line := fmt.Sprintf("%s, costs %d+%d, %s", pays, v.Cost.Prompt, v.Cost.Completion, v.Source)
	if v.Quarantined != nil {
		line += ", keeps " + string(v.Quarantined)
	}
	return line
}

// TestChargingTable goes through the table row by row. The client allowed 2,000
// completion tokens; Tollgate itself counted 12 and 40.
func TestChargingTable(t *testing.T) {
	const delivered, blank = true, false
	f := func(end EndReason, delivered bool, usage, want string) {
		t.Helper()
		asked := 0
		v := Decide(Answer{
			End: end, Delivered: delivered, Reported: []byte(usage), MaxCompletion: 2000,
			Estimate: func() Tokens { asked++; return Tokens{Prompt: 12, Completion: 40} },
		})
		if got := billed(v); got != want {
			t.Errorf("%s, delivered %t, usage %q:\n got %s\nwant %s", end, delivered, usage, got, want)
		}
		if asked > 1 || asked == 1 && (v.Source == SourceUpstream || v.Source == SourceNone) {
			t.Errorf("%s, delivered %t, usage %q: the estimate was asked for %d times", end, delivered, usage, asked)
		}
	}
	const keeps, keepsZeros = ", keeps " + insaneUsage, ", keeps " + zeroUsage

	// Complete, usage sane: the usage. Missing: the count. Explicit zeros are true where there is no content.
	f(EndCompleted, delivered, saneUsage, "pays 13+1891, costs 13+1891, upstream")
	f(EndCompleted, blank, saneUsage, "pays 13+1891, costs 13+1891, upstream")
	f(EndCompleted, delivered, "", "pays 12+40, costs 12+40, estimated")
	f(EndCompleted, delivered, "null", "pays 12+40, costs 12+40, estimated")
	f(EndCompleted, blank, "{}", "pays 12+40, costs 12+40, estimated")
	f(EndCompleted, blank, zeroUsage, "pays 0+0, costs 0+0, upstream")
	// Usage that cannot be true: the count, and the object is kept.
	f(EndCompleted, delivered, insaneUsage, "pays 12+40, costs 12+40, rejected"+keeps)
	f(EndCompleted, delivered, zeroUsage, "pays 12+40, costs 12+40, rejected"+keepsZeros)

	// The client left, and the provider was read to its end: the usage.
	f(EndClientGone, delivered, saneUsage, "pays 13+1891, costs 13+1891, upstream")
	f(EndClientGone, blank, saneUsage, "pays 13+1891, costs 13+1891, upstream")
	f(EndClientGone, blank, zeroUsage, "pays 0+0, costs 0+0, upstream")
	// The client left, and the provider was cut off: the prompt and what came.
	f(EndClientGone, delivered, "", "pays 12+40, costs 12+2000, partial")
	f(EndClientGone, blank, "", "pays 12+0, costs 12+2000, partial")
	f(EndClientGone, delivered, insaneUsage, "pays 12+40, costs 12+2000, rejected"+keeps)
	f(EndClientGone, blank, insaneUsage, "pays 12+0, costs 12+2000, rejected"+keeps)

	// The provider broke off or went silent, or Tollgate or its operator ended the answer.
	for _, end := range []EndReason{EndUpstreamCut, EndUpstreamTimeout, EndShutdown, EndKeyRevoked, "of a later version"} {
		f(end, delivered, saneUsage, "pays 13+1891, costs 13+1891, upstream")
		f(end, delivered, "", "pays 12+40, costs 12+2000, partial")
		f(end, delivered, insaneUsage, "pays 12+40, costs 12+2000, rejected"+keeps)
		f(end, delivered, zeroUsage, "pays 12+40, costs 12+2000, rejected"+keepsZeros)
		f(end, blank, saneUsage, "pays nothing, costs 13+1891, partial")
		f(end, blank, "", "pays nothing, costs 12+2000, partial")
		f(end, blank, insaneUsage, "pays nothing, costs 12+2000, rejected"+keeps)
		f(end, blank, zeroUsage, "pays nothing, costs 0+0, upstream")
	}

	// The provider's answer came to its end and holds nothing.
	f(EndNoOutput, blank, saneUsage, "pays nothing, costs 13+1891, partial")
	f(EndNoOutput, blank, "", "pays nothing, costs 12+2000, partial")
	f(EndNoOutput, blank, insaneUsage, "pays nothing, costs 12+2000, rejected"+keeps)
	f(EndNoOutput, blank, zeroUsage, "pays nothing, costs 0+0, upstream")
	f(EndNoOutput, delivered, "", "pays nothing, costs 12+2000, partial") // empty is empty, whatever else is said

	// No answer began: there is nothing to count, whatever a usage object may say.
	for _, usage := range []string{"", saneUsage, zeroUsage, insaneUsage} {
		f(EndUpstreamFailed, blank, usage, "pays nothing, costs 0+0, none")
		f(EndRefused, blank, usage, "pays nothing, costs 0+0, none")
	}

	// Tollgate died, with a checkpoint and without one.
	for _, usage := range []string{"", saneUsage, insaneUsage} {
		f(EndRecovered, delivered, usage, "pays 12+40, costs 12+2000, recovered")
		f(EndRecovered, blank, usage, "pays nothing, costs 12+2000, recovered")
	}
}

// TestWorstCaseIsWithinReason: the worst case has a bound of its own, and what the client
// allowed is what figures are held against.
func TestWorstCaseIsWithinReason(t *testing.T) {
	f := func(allowed, reasonable, counted int64, reported, want string) {
		t.Helper()
		estimate := func() Tokens { return Tokens{Prompt: 12, Completion: counted} }
		v := Decide(Answer{
			End: EndClientGone, Delivered: true, Reported: []byte(reported), MaxCompletion: allowed, WorstCompletion: reasonable, Estimate: estimate,
		})
		failed := DecideAttempt(FailedAttempt{
			End: EndUpstreamCut, MayCost: true, MaxCompletion: allowed, WorstCompletion: reasonable, Estimate: func() Tokens { return Tokens{Prompt: 12} },
		})
		if got := fmt.Sprintf("%s; %s", billed(v), billed(failed)); got != want {
			t.Errorf("%d within %d:\n got %s\nwant %s", allowed, reasonable, got, want)
		}
	}
	const most = 1<<31 - 1
	f(most, 65536, 40, "", "pays 12+40, costs 12+65536, partial; pays nothing, costs 12+65536, partial")
	f(4*most, 4*65536, 40, "", "pays 12+40, costs 12+262144, partial; pays nothing, costs 12+262144, partial")
	f(2000, 65536, 40, "", "pays 12+40, costs 12+2000, partial; pays nothing, costs 12+2000, partial")
	f(2000, 0, 40, "", "pays 12+40, costs 12+2000, partial; pays nothing, costs 12+2000, partial")
	f(0, 65536, 40, "", "pays 12+40, costs 12+40, partial; pays nothing, costs 12+0, partial")
	// More than that came.
	f(most, 65536, 70000, "", "pays 12+70000, costs 12+70000, partial; pays nothing, costs 12+65536, partial")
	f(most, 1000, 40, saneUsage, "pays 13+1891, costs 13+1891, upstream; pays nothing, costs 12+1000, partial")
	// Figures are held against what was asked for, to the token.
	f(1719, 1000, 40, saneUsage, "pays 12+40, costs 12+1000, rejected, keeps "+saneUsage+"; pays nothing, costs 12+1000, partial")
	f(1720, 1000, 40, saneUsage, "pays 13+1891, costs 13+1891, upstream; pays nothing, costs 12+1000, partial")
}

// Every answer has one row of the table, and every row is some answer's.
func TestChargingTableIsWholeAndWithoutIdleRows(t *testing.T) {
	table := chargingTable()
	used := make([]bool, len(table))
	f := func(delivered bool, ends []ending, reports ...report) {
		for _, e := range ends {
			for _, p := range reports {
				rows := 0
				for i, r := range table {
					if r.fits(e, p, delivered) {
						used[i], rows = true, rows+1
					}
				}
				if rows != 1 {
					t.Errorf("ending %b, report %d, delivered %t: %d rows", e, p, delivered, rows)
				}
			}
		}
	}
	f(true, []ending{whole, left, broken}, missing, sane, wrong)
	f(false, []ending{whole, left, broken, empty}, missing, zeros, sane, wrong)
	f(true, []ending{unanswered, died}, unread)
	f(false, []ending{unanswered, died, notTaken, perhapsTaken}, unread)
	if idle := slices.Index(used, false); idle >= 0 {
		t.Errorf("row %d (%+v) is nobody's", idle, table[idle])
	}
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

// Regression title: "int overflow turns a charge into a credit": this n, times one
// token, is what an attacker sent elsewhere. It bounds nothing here, and pays nothing back.
func TestLimitThatOverflowedIsNone(t *testing.T) {
	n := uint64(18446744073686646784)
	a := Answer{End: EndClientGone, Delivered: true, MaxCompletion: int64(n), Estimate: func() Tokens { return Tokens{Prompt: 12, Completion: 40} }}
	if got, want := billed(Decide(a)), "pays 12+40, costs 12+40, partial"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	a.Reported = []byte(saneUsage)
	if got, want := billed(Decide(a)), "pays 13+1891, costs 13+1891, upstream"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
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

// TestFailedAttempts goes through the rows of attempts. The attempt allowed 2,000
// completion tokens; Tollgate itself counted 12 tokens of the prompt.
func TestFailedAttempts(t *testing.T) {
	f := func(end EndReason, mayCost bool, allowed int64, counted Tokens, want Verdict) {
		t.Helper()
		asked := 0
		got := DecideAttempt(FailedAttempt{End: end, MayCost: mayCost, MaxCompletion: allowed, Estimate: func() Tokens { asked++; return counted }})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, may cost %t, %d allowed (-want +got):\n%s", end, mayCost, allowed, diff)
		}
		if mayCost := want.Source == SourcePartial; asked > 1 || asked == 1 && !mayCost {
			t.Errorf("%s, may cost %t: the estimate was asked for %d times", end, mayCost, asked)
		}
	}
	prompt := Tokens{Prompt: 12}
	nothing := Verdict{Source: SourceNone}
	worst := func(t Tokens) Verdict { return Verdict{Source: SourcePartial, Cost: t} }
	for _, end := range []EndReason{EndUpstreamFailed, EndUpstreamTimeout, EndClientGone, EndShutdown, EndKeyRevoked, EndRecovered} {
		f(end, false, 2000, prompt, nothing)
		f(end, true, 2000, prompt, worst(Tokens{Prompt: 12, Completion: 2000}))
	}
	f(EndRefused, true, 2000, prompt, nothing)
	f(EndUpstreamFailed, true, 0, prompt, worst(Tokens{Prompt: 12}))
	f(EndUpstreamFailed, true, 2000, Tokens{}, worst(Tokens{Completion: 2000}))
	f(EndUpstreamFailed, true, 1<<62, Tokens{Prompt: 1 << 62}, worst(Tokens{Prompt: tokenLimit - 1, Completion: tokenLimit - 1}))
	f(EndUpstreamFailed, true, -1, Tokens{Prompt: -1, Cached: 5, Completion: -7}, worst(Tokens{}))
	if got := DecideAttempt(FailedAttempt{End: EndUpstreamFailed, MayCost: true, MaxCompletion: 5}); got.Cost != (Tokens{Completion: 5}) {
		t.Errorf("without a count of the prompt: %+v", got)
	}
}
