package scan

// LooseAction is what becomes of a Loose in a provider's version of the body.
type LooseAction uint8

// The actions. LooseRemove does nothing to a LooseDeveloper, and LooseAsSystem nothing to any other.
const (
	LooseKeep     LooseAction = iota
	LooseRemove               // the member goes, and one comma with it
	LooseAsSystem             // the value becomes "system"
)

// AppendSplices appends the splices that do to each Loose what decide says, in
// the order of the body and ready for a Revision. Decide is not asked about
// what stands inside of a removed member, and must not keep its argument.
func (d *Document) AppendSplices(dst []Splice, decide func(*Loose) LooseAction) []Splice {
	var system []byte
	removed := 0 // where the last removed member ended
	for i := range d.Loose {
		l := &d.Loose[i]
		if l.Key.Start < removed {
			continue
		}
		action, developer := decide(l), l.Kind == LooseDeveloper
		switch {
		case action == LooseRemove && !developer:
			dst = append(dst, Splice{Span: d.removal(l, dst)})
			removed = l.Value.End
		case action == LooseAsSystem && developer:
			if system == nil {
				system = []byte(`"system"`)
			}
			dst = append(dst, Splice{Span: l.Value, Value: system})
		}
	}
	return dst
}

// removal is what goes with a member: the comma and the white space before it,
// as at the top level. A member with none kept before it takes those behind it instead: the
// first of its object, and the one whose key the removal before it reached.
func (d *Document) removal(l *Loose, before []Splice) Span {
	comma := d.spaceBefore(l.Key.Start) - 1
	leads := d.Body[comma] == '{' || len(before) > 0 && before[len(before)-1].Span.End == l.Key.Start
	if !leads {
		return Span{d.spaceBefore(comma), l.Value.End}
	}
	if comma := d.spaceAfter(l.Value.End); d.Body[comma] == ',' {
		return Span{l.Key.Start, d.spaceAfter(comma + 1)}
	}
	return Span{l.Key.Start, l.Value.End}
}

// spaceBefore is where the white space that ends at an offset begins.
func (d *Document) spaceBefore(at int) int {
	for isSpace(d.Body[at-1]) {
		at--
	}
	return at
}

// spaceAfter is where the white space that begins at an offset ends.
func (d *Document) spaceAfter(at int) int {
	for isSpace(d.Body[at]) {
		at++
	}
	return at
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }
