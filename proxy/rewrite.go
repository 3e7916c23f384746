package proxy

import (
	"strings"

	"tollgate/proxy/scan"
	"tollgate/upstream"
)

// includeUsage is the one stream option that a provider documents.
const includeUsage = `{"include_usage":true}`

// rewriting is one provider's version of the body: the client's bytes with a
// few members spliced.
type rewriting struct {
	body     []byte
	dropped  []string // fields left out that no contract knows, for x-tollgate-dropped
	injected bool     // Tollgate asked for the usage chunk; the client did not
}

// rewriteFor splices the body for a candidate: its own model name, its dialect
// of stream_options, and without what its contract does not document. All
// else travels byte for byte.
func (x *exchange) rewriteFor(c *upstream.Candidate) rewriting {
	d := x.document
	var out rewriting
	edits := make([]scan.Edit, 0, 4)
	for i := range d.Members {
		if edit, change := x.edit(c, i, &out); change {
			edits = append(edits, edit)
		}
	}
	var appended [][]byte
	if d.Stream && d.Index("stream_options") < 0 && c.Provider.StreamUsage == upstream.StreamUsageInject {
		out.injected = true
		appended = append(appended, []byte(`"stream_options":`+includeUsage))
	}
	if len(edits) == 0 && len(appended) == 0 {
		out.body = d.Body
		return out
	}
	out.body = d.Rewrite(make([]byte, 0, len(d.Body)+64), edits, appended...)
	return out
}

// edit decides what becomes of one member; without a change it travels as it is.
func (x *exchange) edit(c *upstream.Candidate, member int, out *rewriting) (edit scan.Edit, change bool) {
	d, role := x.document, x.fields.roles[member]
	remove := scan.Edit{Member: member}
	switch role.meaning {
	case meaningModel:
		return scan.Edit{Member: member, Value: scan.AppendString(nil, c.Model)}, d.Model != c.Model
	case meaningOptions:
		return x.editStreamOptions(c, member, out)
	case meaningNeed, meaningDefault:
		return remove, !c.Provider.Contract.Takes(role.param)
	case meaningEmpty:
		// A strict provider may refuse a null where a number is documented.
		return remove, !c.Provider.Contract.Open
	case meaningUnknown:
		if !c.Provider.Contract.Open {
			out.dropped = append(out.dropped, d.Members[member].Name)
			return remove, true
		}
	}
	return scan.Edit{}, false
}

// editStreamOptions decides what becomes of the client's stream_options.
func (x *exchange) editStreamOptions(c *upstream.Candidate, member int, out *rewriting) (scan.Edit, bool) {
	d := x.document
	switch {
	case !d.Stream, c.Provider.StreamUsage == upstream.StreamUsageNever:
		return scan.Edit{Member: member}, true
	case d.IncludeUsage, c.Provider.StreamUsage == upstream.StreamUsagePass:
		return scan.Edit{}, false
	}
	out.injected = true
	return scan.Edit{Member: member, Value: []byte(includeUsage)}, true
}

// droppedHeader lists dropped fields for x-tollgate-dropped. The names are the
// client's own bytes: whatever is not a plain word is not repeated in a header.
func droppedHeader(names []string) string {
	const most = 16
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == most {
			b.WriteString("...")
			break
		}
		if !isPlainWord(name) {
			name = "(unprintable)"
		}
		b.WriteString(name)
	}
	return b.String()
}

// isPlainWord reports whether s is 1 to 64 letters, digits, "_", "-" or ".".
func isPlainWord(s string) bool {
	if s == "" || len(s) > 64 {
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
