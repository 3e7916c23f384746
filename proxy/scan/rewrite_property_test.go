package scan

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// chooser deals out the bytes of a choice, and 0 when they are used up.
type chooser struct{ left []byte }

func (c *chooser) below(n byte) byte {
	if len(c.left) == 0 {
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	return b % n
}

// checkRewrite revises a body as the choices tell, and the same body as
// encoding/json reads it. Both must come out as one.
func checkRewrite(t failer, body, choices []byte) {
	t.Helper()
	var d Document
	if d.Parse(body) != nil {
		return
	}
	want, choose := readTree(t, body), chooser{choices}
	r := Revision{Splices: chooseSplices(&d, want, &choose)}
	for i := range d.Members {
		switch edit := chooseEdit(&d, i, choose.below(5)); {
		case edit == nil:
			continue
		case edit.Key == nil && edit.Value == nil:
			want.members[i].gone = true
			r.Edits = append(r.Edits, *edit)
		default:
			want.members[i] = edited(t, &d, edit)
			r.Edits = append(r.Edits, *edit)
		}
	}
	slices.Reverse(r.Edits)
	for i := range int(choose.below(3)) {
		name := "appended " + string(rune('a'+i))
		r.Appended = append(r.Appended, append(AppendString(nil, name), `:[1, 2]`...))
		want.members = append(want.members, &branch{name: name, value: readTree(t, json.RawMessage(`[1,2]`))})
	}
	rewritten := d.Rewrite(nil, r)
	if !json.Valid(rewritten) {
		t.Fatalf("%q became %q: not valid JSON, with %+v", body, rewritten, r)
	}
	if got := readTree(t, rewritten).String(); got != want.String() {
		t.Fatalf("%q became\n got %s\nwant %s", body, got, want)
	}
	if len(r.Edits)+len(r.Appended)+len(r.Splices) == 0 && !bytes.Equal(body, rewritten) {
		t.Fatalf("%q became %q without a change", body, rewritten)
	}
}

// chooseSplices decides about every Loose, and does the same to the tree.
func chooseSplices(d *Document, want *tree, choose *chooser) []Splice {
	actions := map[Span]LooseAction{}
	for i, l := range want.loose() {
		action := LooseAction(choose.below(3))
		actions[d.Loose[i].Key()] = action
		switch {
		case l.kind == LooseDeveloper && action == LooseAsSystem:
			l.value.raw = json.RawMessage(`"system"`)
		case l.kind != LooseDeveloper && action == LooseRemove:
			l.gone = true
		}
	}
	return d.AppendSplices(nil, func(l *Loose) LooseAction { return actions[l.Key()] })
}

// chooseEdit leaves one member alone, removes it, or gives it another value or name or both.
func chooseEdit(d *Document, member int, choice byte) *Edit {
	edit := &Edit{Member: member}
	switch choice {
	case 0:
		return nil
	case 1:
		edit.Value = AppendString(nil, d.Members[member].Name)
	case 2:
		edit.Key = AppendString(nil, "new "+d.Members[member].Name)
	case 3:
		edit.Key, edit.Value = []byte(`"new"`), []byte(`7`)
	}
	return edit
}

// edited is the member after an edit, without the splices inside of it.
func edited(t failer, d *Document, edit *Edit) *branch {
	m := d.Members[edit.Member]
	out := &branch{name: m.Name, value: readTree(t, d.Raw(m))}
	if edit.Key != nil {
		_ = json.Unmarshal(edit.Key, &out.name)
	}
	if edit.Value != nil {
		out.value = readTree(t, edit.Value)
	}
	return out
}

func TestRewriteChangesExactlyWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRewrite(t, bodies().Draw(t, "body"), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "choices"))
	})
}

func FuzzRewrite(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed), []byte{1, 2, 0, 1})
		f.Add([]byte(seed), []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
		f.Add([]byte(seed), []byte{2, 1, 0, 1, 2, 2, 1, 2, 1, 2, 1, 0, 0, 1, 4, 2, 3})
	}
	f.Fuzz(func(t *testing.T, body, choices []byte) { checkRewrite(t, body, choices) })
}
