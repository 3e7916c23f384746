package scan

import "slices"

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
	dst = slices.Grow(dst, d.mark(decide))
	var system []byte
	for i := range d.Loose {
		switch l := &d.Loose[i]; l.action {
		case LooseRemove:
			dst = append(dst, Splice{Span: d.removal(l, dst)})
		case LooseAsSystem:
			if system == nil {
				system = []byte(`"system"`)
			}
			dst = append(dst, Splice{Span: l.Value(), Value: system})
		}
	}
	return dst
}

// mark notes what becomes of each Loose, and returns how many are not kept.
func (d *Document) mark(decide func(*Loose) LooseAction) (changed int) {
	var removed uint32 // where the last removed member ended
	for i := range d.Loose {
		l := &d.Loose[i]
		l.action = LooseKeep
		if l.keyStart < removed {
			continue
		}
		action, developer := decide(l), l.Kind == LooseDeveloper
		switch {
		case action == LooseRemove && !developer:
			removed = l.valueEnd
		case action == LooseAsSystem && developer:
		default:
			continue
		}
		l.action = action
		changed++
	}
	return changed
}

// removal is what goes with a member: the comma and the white space before it,
// as at the top level. A member with none kept before it takes those behind it instead: the
// first of its object, and the one whose key the removal before it reached.
func (d *Document) removal(l *Loose, before []Splice) Span {
	start, end := int(l.keyStart), int(l.valueEnd)
	comma := d.spaceBefore(start) - 1
	leads := d.Body[comma] == '{' || len(before) > 0 && before[len(before)-1].Span.End == start
	if !leads {
		return Span{d.spaceBefore(comma), end}
	}
	if comma := d.spaceAfter(end); d.Body[comma] == ',' {
		return Span{start, d.spaceAfter(comma + 1)}
	}
	return Span{start, end}
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
