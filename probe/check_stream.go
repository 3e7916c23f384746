package probe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollgate/upstream"
)

// streamChecks look at streams of the usual request.
func streamChecks(p *upstream.Provider) []check {
	unasked, asked := notDocumented, "a chunk of its own when asked for"
	switch p.StreamUsage {
	case upstream.StreamUsageInject:
		unasked = "none without being asked for"
	case upstream.StreamUsageNever:
		asked = notDocumented
	}
	return []check{
		{name: "stream", expected: "valid events, text, finish_reason", requests: 1, run: checkStream},
		{name: "stream end", expected: "[DONE], then a clean end", run: checkStreamEnd},
		{name: "stream usage", expected: unasked, run: checkUnasked},
		{name: "stream_options.include_usage", expected: asked, requests: 1, run: checkAsked},
	}
}

func checkStream(ctx context.Context, s *session) result {
	got := s.ask(ctx, request{stream: true})
	switch {
	case got.reception == refused:
		return deviates(seenRefused, got.why)
	case got.reception != accepted:
		return undecided(got.why)
	case strings.HasPrefix(got.stream.contentType, "application/json"):
		return deviates(seenIgnored, "a plain answer came")
	}
	s.unasked = got.stream
	return s.judgeStream(got.stream)
}

func (s *session) judgeStream(st *streamed) result {
	reasons := strings.Join(st.tap.FinishReasons(), ", ") // of those that clients know
	switch {
	case !st.isEvents():
		return deviates("Content-Type "+s.quote(cmp.Or(st.contentType, "is missing")), "")
	case st.bad != "":
		return deviates("invalid events", st.bad)
	case !st.tap.Finished(1):
		return deviates("no finish_reason", "")
	case reasons == "":
		return unknownReason("")
	case st.tap.ContentBytes() == 0 && slices.Contains(st.tap.FinishReasons(), "length"):
		return asDocumented("finish_reason " + reasons).but("no text: the model has used all of its tokens for thinking")
	case st.tap.ContentBytes() == 0:
		return deviates("no text", "")
	}
	return asDocumented("text, finish_reason " + reasons)
}

func checkStreamEnd(_ context.Context, s *session) result {
	st := s.unasked
	switch {
	case st == nil:
		return notTried("there was no stream")
	case st.end != nil:
		return deviates("it breaks off", s.failure(st.end))
	case !st.tap.Done() && s.observed.DoneOptional:
		return asDocumented("no [DONE]")
	case !st.tap.Done() && st.tap.Finished(1):
		s.observed.DoneOptional = true
		return deviates("no [DONE]", "a stream without it counts as broken")
	case !st.tap.Done():
		return deviates("no [DONE]", "nor a finish_reason: a stream like this counts as broken")
	case st.behindDone:
		return deviates("more behind [DONE]", "")
	}
	return asDocumented("[DONE], then a clean end")
}

// checkUnasked looks for usage in the stream that did not ask for it.
func checkUnasked(_ context.Context, s *session) result {
	st := s.unasked
	switch {
	case st == nil:
		return notTried("there was no stream")
	case st.tap.Usage() == nil:
		return asDocumented("none")
	}
	judged := st.judgeUsage()
	switch {
	case judged.verdict == Deviates:
		return judged
	case s.observed.StreamUsage != upstream.StreamUsageInject:
		return asDocumented("comes by itself").but("there is no need to ask for it")
	}
	// Asking is harmless, and for a client that asks it says where it comes.
	s.observed.StreamUsage = upstream.StreamUsagePass
	return deviates("comes by itself", "there is no need to ask for it")
}

// checkAsked asks for usage, and looks where it comes.
func checkAsked(ctx context.Context, s *session) result {
	if s.unasked == nil {
		return notTried("there was no stream")
	}
	wanted := s.candidate().Provider.StreamUsage != upstream.StreamUsageNever
	got := s.ask(ctx, request{stream: true, more: `,"stream_options":{"include_usage":true}`})
	switch got.reception {
	case refused:
		s.refuse(upstream.ParamStreamOptions)
		s.observed.StreamUsage = upstream.StreamUsageNever
		return s.unless(wanted, seenRefused, got.why)
	case accepted:
	default:
		return undecided(got.why)
	}
	st := got.stream
	switch {
	case st.tap.Usage() == nil:
		s.observed.StreamUsage = upstream.StreamUsageNever
		return s.unless(wanted, seenIgnored, "")
	case !wanted && s.unasked.tap.Usage() != nil:
		return asDocumented("accepted").but("it comes without being asked for as well")
	}
	if judged := st.judgeUsage(); judged.verdict == Deviates {
		s.observed.StreamUsage = upstream.StreamUsageNever
		return judged
	}
	return s.judgePlace(st, wanted)
}

func (st *streamed) judgeUsage() result { return judgeUsage(st.tap.Usage(), st.tap.ContentBytes()) }

// unless is a deviation where something was to be expected.
func (s *session) unless(expected bool, seen, remark string) result {
	if expected {
		return deviates(seen, remark)
	}
	return asDocumented(seen).but(remark)
}

// judgePlace looks where usage came that was asked for: only a chunk of its own
// before [DONE] can be left out for a client that did not ask.
func (s *session) judgePlace(st *streamed, wanted bool) result {
	switch {
	case st.lateUsage:
		s.observed.StreamUsage = min(s.observed.StreamUsage, upstream.StreamUsagePass)
		return s.unless(wanted, "behind [DONE]", "where nobody looks for it any more")
	case !st.ownChunk:
		s.observed.StreamUsage = min(s.observed.StreamUsage, upstream.StreamUsagePass)
		return s.unless(wanted, "in a chunk with choices", "it cannot be kept from clients that did not ask for it")
	case wanted:
		return asDocumented("a chunk of its own")
	}
	s.take(upstream.ParamStreamOptions)
	s.observed.StreamUsage = upstream.StreamUsageInject
	return deviates("a chunk of its own", "it may be asked for")
}

// firstTokenCheck says how long the streams took to their first token.
func firstTokenCheck() check {
	return check{name: "first token", expected: notDocumented, run: func(_ context.Context, s *session) result {
		l := latencyOf(s.firstTokens)
		if l.Streams == 0 {
			return notTried("there was no stream")
		}
		of := " of one stream"
		if l.Streams > 1 {
			of = fmt.Sprintf(", median %s of %d streams", l.Median.Round(time.Millisecond), l.Streams)
		}
		return asDocumented("min " + l.Min.Round(time.Millisecond).String() + of)
	}}
}

func latencyOf(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	sorted := slices.Sorted(slices.Values(times))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return Latency{Streams: len(sorted), Min: sorted[0], Median: median}
}
