package scan

// part is what one content part has shown of itself. Its type decides what it
// had to hold, and may come last.
type part struct {
	keys keys
	held keys // the keys whose values are not null
	typ  Span
}

// readPart reads one element of a content array. Texts and media are noted
// whatever the part's type is: a provider may go by their keys alone.
func (d *Document) readPart(l *lexer) *Error {
	start := l.at
	if _, err := l.want(anObject, ""); err != nil {
		return err
	}
	p := part{keys: keys{in: inPart}}
	if err := l.object(func(key Span) *Error { return d.readPartMember(l, &p, key) }); err != nil {
		return err
	}
	if !p.keys.has(keyType) {
		return missing("type", start)
	}
	var buf wordBuf
	switch string(d.word(&buf, p.typ)) {
	case "text":
		return p.need(keyText, "text", start)
	case "image_url":
		return p.need(keyImageURL, "image_url", start)
	case "input_audio":
		return p.need(keyInputAudio, "input_audio", start)
	default:
		return d.addMedia(Media{Kind: OtherPart}, start)
	}
}

func (p *part) need(key nested, name string, start int) *Error {
	if !p.held.has(key) {
		return missing(name, start)
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
		return d.readHeld(l, p, payload{found, "text", aString})
	case keyImageURL:
		return d.readHeld(l, p, payload{found, "image_url", anObject})
	case keyInputAudio:
		return d.readHeld(l, p, payload{found, "input_audio", anObject})
	}
	_, err = l.value()
	return err
}

// payload is a key of a part under which its text or medium stands.
type payload struct {
	key   nested
	name  string
	takes kinds
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
