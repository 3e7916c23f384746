package scan

// readMessages reads the messages: an array of at least one object.
func (d *Document) readMessages(l *lexer) *Error {
	start, n := l.at, 0
	err := l.array(func(i int) *Error {
		n++
		begins, opening := l.at, !d.Roles.Has(RoleUser)
		if err := d.readMessage(l); err != nil {
			return err.withinElement(i)
		}
		if i == 0 {
			d.Opening.Start = begins
		}
		if opening {
			d.Opening.End = l.at
		}
		return nil
	})
	if err == nil && n == 0 {
		return &Error{Code: CodeInvalidValue, Offset: start, Reason: "must not be empty"}
	}
	return err
}

func (d *Document) readMessage(l *lexer) *Error {
	start := l.at
	if _, err := l.want(anObject, ""); err != nil {
		return err
	}
	keys, calls := keys{in: inMessage}, false
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		if err != nil {
			return err
		}
		switch found {
		case keyRole:
			return d.readRole(l, key)
		case keyContent:
			return d.readContent(l)
		case keyToolCalls:
			at := len(d.Loose)
			if err := d.readToolCalls(l, key); err != nil {
				return err
			}
			calls = !d.Loose[at].Empty
			return nil
		case keyToolCallID:
			return d.readLoose(l, LooseToolCallID, key)
		case keyFunctionCall:
			return d.readLoose(l, LooseFunctionCall, key)
		case keyAudio:
			return d.readLoose(l, LooseAudio, key)
		}
		return d.readLoose(l, LooseMessageMember, key)
	})
	if err == nil && !keys.has(keyRole) {
		return missing("role", start)
	}
	if !keys.has(keyContent) {
		d.EmptyContent = d.EmptyContent || calls
		d.NoContent = d.NoContent || !calls
	}
	return err
}

func (d *Document) readRole(l *lexer, key Span) *Error {
	content, err := l.wantString("role")
	if err != nil {
		return err
	}
	var buf wordBuf
	role := roleOf(d.word(&buf, content))
	d.Roles |= role
	if role != RoleDeveloper {
		return nil
	}
	return d.addLoose(looseAt(LooseDeveloper, key, quoted(content)))
}

// readContent reads a message's content: text, parts, or null where tool calls stand instead.
func (d *Document) readContent(l *lexer) *Error {
	kind, err := l.want(aString|anArray|orNull, "content")
	if err != nil {
		return err
	}
	switch kind {
	case String:
		content, err := l.str()
		d.addText(content)
		return err
	case Array:
		err = l.array(func(i int) *Error {
			if err := d.readPart(l); err != nil {
				return err.withinElement(i).within("content")
			}
			return nil
		})
	default:
		d.EmptyContent = true
		err = l.literal()
	}
	return err
}

// readToolCalls notes the calls an assistant made earlier: the provider counts
// them as prompt tokens. What is not a list of objects is the provider's to judge.
func (d *Document) readToolCalls(l *lexer, key Span) *Error {
	start, at := l.at, len(d.Loose)
	if err := d.addLoose(looseAt(LooseToolCalls, key, Span{})); err != nil {
		return err
	}
	kind := l.kind()
	if kind != Array {
		if _, err := l.value(); err != nil {
			return err
		}
	} else if err := l.array(func(i int) *Error { return d.readToolCall(l, i) }); err != nil {
		return err
	}
	d.Loose[at].end(d, Span{start, l.at})
	if kind != Null {
		d.addText(Span{start, l.at})
	}
	return nil
}
