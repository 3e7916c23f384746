package proxy

import (
	"slices"
	"strconv"
	"strings"

	"tollgate/proxy/scan"
	"tollgate/upstream"
)

// includeUsage is the one stream option that a provider documents.
const includeUsage = `{"include_usage":true}`

// rewriting is one provider's version of the body: the client's bytes with a
// few members spliced.
type rewriting struct {
	body []byte
	revised
}

// revised is what a provider's version changes, for those who want to know.
type revised struct {
	dropped  []string // fields left out that the client may miss, for x-tollgate-dropped
	adapted  []string // what is said in another way that means the same
	injected bool     // Tollgate asked for the usage chunk; the client did not
	// limit is the most tokens that a choice of the answer may have by what is sent; 0: no limit is.
	limit int64
}

// revision decides how the body is rewritten for one provider.
type revision struct {
	revised
	document *scan.Document
	fields   *fields
	provider *upstream.Provider
	contract *upstream.Contract
	model    string // the provider's own name
	edits    [4]scan.Edit
	appended [1][]byte
	changes  scan.Revision
}

// rewriteFor splices the body for a candidate: its own model name, its dialect
// of stream_options, of limits, stops and roles, and without what its contract
// does not document. All else travels byte for byte.
func (x *exchange) rewriteFor(c *upstream.Candidate) rewriting {
	var r revision
	r.decide(x, c)
	d := x.document
	if r.isNone() {
		return rewriting{d.Body, r.revised}
	}
	return rewriting{d.Rewrite(make([]byte, 0, len(d.Body)+64), r.changes), r.revised}
}

// decide finds everything that changes for a candidate.
func (r *revision) decide(x *exchange, c *upstream.Candidate) {
	d := x.document
	*r = revision{document: d, fields: x.fields, provider: c.Provider, contract: c.Provider.Contract, model: c.Model}
	r.changes.Edits = r.edits[:0]
	for i := range d.Members {
		r.member(i)
	}
	if d.Stream && d.Index("stream_options") < 0 && r.provider.StreamUsage == upstream.StreamUsageInject {
		r.injected = true
		r.changes.Appended = append(r.appended[:0], []byte(`"stream_options":`+includeUsage))
	}
	if len(d.Loose) > 0 && r.isPicky() {
		r.changes.Splices = d.AppendSplices(r.changes.Splices, r.loose)
		slices.SortFunc(r.changes.Splices, func(a, b scan.Splice) int { return a.Span.Start - b.Span.Start })
	}
	r.limit = r.limitSent()
}

// isPicky reports whether the contract minds nested members.
func (r *revision) isPicky() bool {
	c := r.contract
	return !c.Open || c.SystemForDeveloper() || c.MessageFields != everyMessageField
}

const everyMessageField = upstream.FieldToolCalls | upstream.FieldToolCallID | upstream.FieldFunctionCall | upstream.FieldAudio

// limitSent is the limit on a choice's tokens that the provider is sent: the lower
// one of two, where it knows one of their names, and of both whichever it goes by.
func (r *revision) limitSent() int64 {
	n, c := &r.fields.needs, r.contract
	older, newer := int64(n.Numbers[upstream.ParamMaxTokens]), int64(n.Numbers[upstream.ParamMaxCompletionTokens])
	if older == 0 || newer == 0 || c.Takes(upstream.ParamMaxTokens) && c.Takes(upstream.ParamMaxCompletionTokens) {
		return max(older, newer)
	}
	return min(older, newer)
}

func (r *revision) isNone() bool {
	return len(r.changes.Edits)+len(r.changes.Splices)+len(r.changes.Appended) == 0
}

// member decides what becomes of one member; without a change it travels as it is.
func (r *revision) member(i int) {
	role := r.fields.roles[i]
	takes := r.contract.Takes(role.param)
	switch role.meaning {
	case meaningModel:
		if r.document.Model != r.model {
			r.replace(i, scan.AppendString(nil, r.model))
		}
	case meaningOptions:
		r.streamOptions(i)
	case meaningEmpty:
		// A strict provider may refuse a null where a number is documented.
		if !r.contract.Open || !takes {
			r.remove(i)
		}
	case meaningDefault:
		if !takes {
			r.remove(i)
		}
	case meaningNeed:
		r.need(i, role.param, takes)
	case meaningUnknown:
		if name := r.document.Members[i].Name; !r.contract.Passes(name) {
			r.drop(i, name)
		}
	}
}

func (r *revision) replace(member int, value []byte) {
	r.changes.Edits = append(r.changes.Edits, scan.Edit{Member: member, Value: value})
}

func (r *revision) remove(member int) { r.replace(member, nil) }

// drop removes a member and tells the client.
func (r *revision) drop(member int, name string) {
	r.remove(member)
	r.dropped = append(r.dropped, name)
}

// need sends a parameter that asks for something, in the contract's own dialect.
func (r *revision) need(i int, p upstream.Param, takes bool) {
	twin, hasTwin := p.Twin()
	switch {
	case p == upstream.ParamStop && takes:
		r.stop(i)
	case takes && hasTwin && !r.contract.Takes(twin):
		r.tighten(i, p, twin)
	case takes:
	case hasTwin && r.contract.Takes(twin):
		r.rename(i, p, twin)
	default:
		r.drop(i, p.String()) // its provider's option says so, or it would not have been chosen
	}
}

// rename calls a limit by the name that the contract knows. Where the client gave
// both, the one that the contract knows stays: see tighten.
func (r *revision) rename(i int, from, to upstream.Param) {
	r.adapted = append(r.adapted, from.String()+" as "+to.String())
	if r.fields.needs.Params.Has(to) {
		r.remove(i)
		return
	}
	if other := r.document.Index(to.String()); other >= 0 {
		r.remove(other) // it is null
	}
	d := r.document
	r.changes.Edits = append(r.changes.Edits, scan.Edit{Member: i, Value: d.Raw(d.Members[i]), Key: strconv.AppendQuote(nil, to.String())})
}

// tighten keeps the lower of two limits where the contract knows only one of their names.
func (r *revision) tighten(i int, known, twin upstream.Param) {
	n, d := &r.fields.needs, r.document
	if n.Params.Has(twin) && n.Numbers[twin] < n.Numbers[known] {
		r.replace(i, d.Raw(d.Members[d.Index(twin.String())]))
	}
}

// stop writes stop sequences in the contract's form.
func (r *revision) stop(i int) {
	d := r.document
	isArray := d.Members[i].Kind == scan.Array
	first := d.Body[d.FirstStop.Start:d.FirstStop.End]
	switch {
	case r.contract.StopForm == upstream.StopString && isArray && d.Stops == 1 && string(first) == `""`:
		r.remove(i) // as a string it is what meaningEmpty leaves out: it asks for nothing
	case r.contract.StopForm == upstream.StopString && isArray && d.Stops == 1:
		r.replace(i, first)
		r.adapted = append(r.adapted, "stop as a string")
	case r.contract.StopForm == upstream.StopArray && !isArray:
		r.replace(i, slices.Concat([]byte("["), first, []byte("]")))
		r.adapted = append(r.adapted, "stop as an array")
	}
}

// streamOptions decides what becomes of the client's stream_options; of its other
// members, loose does.
func (r *revision) streamOptions(i int) {
	d, usage := r.document, r.provider.StreamUsage
	switch {
	case !d.Stream, usage == upstream.StreamUsageNever:
		r.remove(i)
	case d.IncludeUsage, usage == upstream.StreamUsagePass && r.contract.Open:
	case usage == upstream.StreamUsagePass:
		r.remove(i)
	default:
		r.injected = true
		r.askForUsage(i)
	}
}

// askForUsage sets include_usage beside the client's own options.
func (r *revision) askForUsage(i int) {
	d := r.document
	at := d.Members[i].Value
	switch {
	case !r.contract.Open, d.Empty(d.Members[i]):
		r.replace(i, []byte(includeUsage))
	case d.IncludeUsageAt.Len() > 0:
		r.changes.Splices = append(r.changes.Splices, scan.Splice{Span: d.IncludeUsageAt, Value: []byte("true")})
	default:
		inside := scan.Span{Start: at.Start + 1, End: at.Start + 1}
		r.changes.Splices = append(r.changes.Splices, scan.Splice{Span: inside, Value: []byte(`"include_usage":true,`)})
	}
}

// loose decides what becomes of a nested member that not every provider takes.
func (r *revision) loose(l *scan.Loose) scan.LooseAction {
	field := messageField(l.Kind)
	switch {
	case l.Kind == scan.LooseDeveloper && r.contract.SystemForDeveloper():
		r.adapted = noted(r.adapted, "role developer as system")
		return scan.LooseAsSystem
	case l.Kind == scan.LooseDeveloper:
		return scan.LooseKeep
	case field != 0 && r.contract.MessageFields&field != 0 && (!l.Empty || r.contract.Open), field == 0 && r.contract.Open:
		return scan.LooseKeep
	case !l.Empty && len(r.dropped) <= mostDropped: // no more are shown
		r.dropped = noted(r.dropped, r.document.LooseName(l))
	}
	return scan.LooseRemove
}

// noted is a list with a text that it may have already.
func noted(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// droppedHeader lists dropped fields for x-tollgate-dropped. The names are the
// client's own bytes: whatever is not a plain word is not repeated in a header.
func droppedHeader(names []string) string { return strings.Join(plainWords(names), ", ") }

// plainWord is a name of the client's, if it can be shown, logged and put into a header.
func plainWord(name string) string {
	if isPlainWord(name) {
		return name
	}
	return "(unprintable)"
}

// isPlainWord reports whether s is 1 to 96 letters, digits, "_", "-" or ".".
func isPlainWord(s string) bool {
	if s == "" || len(s) > 96 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
