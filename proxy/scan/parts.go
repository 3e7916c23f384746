package scan

import "slices"

// part is what one content part has shown of itself. Its type decides what it
// had to hold, and may come last.
type part struct {
	keys keys
	held keys // the keys whose values are not null
	typ  Span
	// payloads are the members of keyText, keyImageURL and keyInputAudio, of
	// which the type makes one the part's own.
	payloads [keyInputAudio - keyText + 1]Loose
	loose    int // how many were loose before this part
}

// readPart reads one element of a content array. Texts and media are noted
// whatever the part's type is: a provider may go by their keys alone.
func (d *Document) readPart(l *lexer) *Error {
	start := l.at
	if _, err := l.want(anObject, ""); err != nil {
		return err
	}
	p := part{keys: keys{in: inPart}, loose: len(d.Loose)}
	if err := l.object(func(key Span) *Error { return d.readPartMember(l, &p, key) }); err != nil {
		return err
	}
	if !p.keys.has(keyType) {
		return missing("type", start)
	}
	var buf wordBuf
	switch string(d.word(&buf, p.typ)) {
	case "text":
		return d.settlePart(&p, keyText, "text", start)
	case "image_url":
		return d.settlePart(&p, keyImageURL, "image_url", start)
	case "input_audio":
		return d.settlePart(&p, keyInputAudio, "input_audio", start)
	default:
		// Only the provider can tell what such a part is about.
		d.Loose = d.Loose[:p.loose]
		return d.addMedia(Media{Kind: OtherPart}, start)
	}
}

// settlePart closes a part of a known type: its own payload is required, and
// those of other types are loose.
func (d *Document) settlePart(p *part, own nested, name string, start int) *Error {
	if !p.held.has(own) {
		return missing(name, start)
	}
	foreign := false
	for i := range p.payloads {
		if key := keyText + nested(i); key == own || !p.keys.has(key) {
			continue
		}
		if err := d.addLoose(p.payloads[i]); err != nil {
			return err
		}
		foreign = true
	}
	if foreign {
		slices.SortFunc(d.Loose[p.loose:], func(a, b Loose) int { return a.Key().Start - b.Key().Start })
	}
	return nil
}

func (d *Document) readPartMember(l *lexer, p *part, key Span) *Error {
	found, err := p.keys.take(l, key)
	if err != nil {
		return err
	}
	switch found {
	case keyType:
		p.typ, err = l.wantString("type")
		return err
	case keyText:
		return d.readPayload(l, p, payload{found, "text", aString}, key)
	case keyImageURL:
		return d.readPayload(l, p, payload{found, "image_url", anObject}, key)
	case keyInputAudio:
		return d.readPayload(l, p, payload{found, "input_audio", anObject}, key)
	}
	return d.readLoose(l, LoosePartMember, key)
}

// payload is a key of a part under which its text or medium stands.
type payload struct {
	key   nested
	name  string
	takes kinds
}

func (d *Document) readPayload(l *lexer, p *part, load payload, key Span) *Error {
	start := l.at
	if err := d.readHeld(l, p, load); err != nil {
		return err
	}
	member := &p.payloads[load.key-keyText]
	*member = looseAt(LoosePartMember, key, Span{})
	member.end(d, Span{start, l.at})
	return nil
}

// readHeld reads a part's payload, which may also be null: some clients write
// the keys of all types into every part.
func (d *Document) readHeld(l *lexer, p *part, load payload) *Error {
	kind, err := l.want(load.takes|orNull, load.name)
	if err != nil {
		return err
	}
	if kind == Null {
		return l.literal()
	}
	p.held.seen |= 1 << load.key
	switch load.key {
	case keyText:
		var content Span
		content, err = l.str()
		d.addText(content)
	case keyImageURL:
		err = d.readImageURL(l)
	default:
		err = d.readInputAudio(l)
	}
	if err != nil {
		return err.within(load.name)
	}
	return nil
}

func (d *Document) addText(content Span) {
	if content.Len() > 0 {
		d.Texts = append(d.Texts, content)
	}
}
