package simulator

import (
	"fmt"
	"strings"
)

// A trait is what is known of a kind of fault beside its doing.
type trait struct {
	kind FaultKind
	// options are those of ParseFault that the kind obeys, besides the ones that every kind obeys.
	options string
	says    string // in one line
}

func traits() []trait {
	return []trait{
		{Respond, "status header body", "this answer instead of the provider's"},
		{HangBeforeHeaders, "for", "silence instead of an answer"},
		{HangBeforeFirstEvent, "for", "silence behind the header"},
		{Stall, "events for", "silence in the middle of a stream"},
		{Drip, "events interval for reset body", "an event byte by byte; with for, one that is never completed"},
		{Drop, "reset", "the connection ends without an answer"},
		{Cut, "at_byte reset", "the connection ends, behind whole HTTP chunks"},
		{CutBetween, "events reset", "the connection ends between two events, and HTTP chunks"},
		{CutInside, "at_byte reset", "the connection ends within an HTTP chunk"},
		{ShortBody, "at_byte reset", "a plain answer is shorter than announced; a stream as by cut_inside"},
		{MalformedChunk, "events reset", "bytes that are no HTTP chunk, and the connection ends"},
		{HTML, "status header body", "200 with a page of HTML"},
		{Empty, "", "200 with an empty body"},
		{ErrorEvent, "events body", "200 with an error object, as an event of a stream"},
		{MalformedEvent, "events body", "an event that is no JSON, then the rest; half of a plain answer"},
		{EndEarly, "events", "a clean end in the middle of the answer"},
		{NoDone, "", "a stream without [DONE]"},
		{DoneWithoutFinish, "", "no finish_reason, and no usage in a stream, but [DONE]"},
		{AfterDone, "body", "more behind [DONE]"},
		{GiantEvent, "events size", "one more event, of many tokens"},
		{WrongUsage, "body", "body, any JSON, as the usage object"},
		{NoUsage, "", "no usage where it is due"},
	}
}

func traitsOf(k FaultKind) trait {
	for _, t := range traits() {
		if t.kind == k {
			return t
		}
	}
	return trait{kind: k}
}

// FaultKinds returns all kinds, in the order of this package's constants.
func FaultKinds() []FaultKind {
	var kinds []FaultKind
	for _, t := range traits() {
		kinds = append(kinds, t.kind)
	}
	return kinds
}

// FaultHelp says how ParseFault's text is written, for the help of a command.
func FaultHelp() string {
	var out strings.Builder
	out.WriteString(`A fault is written as options, name=value, with commas between them:

  kind          what happens, one of the list below
  provider      only requests to starmagic, theturbo or evolink
  model         only requests for this model
  nth           only the nth of these requests, 1 being the first
  every         only each of them whose number is a multiple of it
  times         how often it happens at most
  name          how /_truth calls the fault (its kind)

  events        how many events of a stream come first (0)
  at_byte       how many bytes of the body come first (0; short_body: all)
  reset         true: the connection ends with a TCP reset (false)
  for           how long it lasts, such as 30s (until the client leaves;
                drip: until the event is sent)
  interval      the time between two bytes (1ms)
  size          bytes of text (262144)
  status        of the answer (200)
  header.NAME   a header of the answer
  body          what is sent, as the kind says; takes the rest of the text,
                commas included, so it comes last

Only requests that the provider would accept count. The kinds, with the options
of the second block that each obeys:

`)
	for _, t := range traits() {
		options := strings.Join(strings.Fields(t.options), ", ")
		if options != "" {
			options = " (" + options + ")"
		}
		_, _ = fmt.Fprintf(&out, "  %s%s\n      %s\n", t.kind, options, t.says)
	}
	return out.String()
}
