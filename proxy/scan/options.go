package scan

// readStreamOptions reads stream_options.
func (d *Document) readStreamOptions(l *lexer) *Error {
	keys := keys{in: inStreamOptions}
	return l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
		case found == keyIncludeUsage:
			return d.readIncludeUsage(l)
		default:
			err = d.readLoose(l, LooseStreamOption, key)
		}
		return err
	})
}

func (d *Document) readIncludeUsage(l *lexer) *Error {
	start := l.at
	if _, err := l.want(aBool|orNull, "include_usage"); err != nil {
		return err
	}
	d.IncludeUsage = l.cur() == 't'
	err := l.literal()
	d.IncludeUsageAt = Span{start, l.at}
	return err
}

// readResponseFormat reads the type of response_format, of which the rest is the provider's to judge.
func (d *Document) readResponseFormat(l *lexer) *Error {
	start := l.at
	keys := keys{in: inResponseFormat}
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
			return err
		case found == keyType:
			return d.readFormatType(l)
		}
		_, err = l.value()
		return err
	})
	if err == nil && !keys.has(keyType) {
		return missing("type", start)
	}
	return err
}

func (d *Document) readFormatType(l *lexer) *Error {
	content, err := l.wantString("type")
	if err != nil {
		return err
	}
	var buf wordBuf
	switch word := d.word(&buf, content); string(word) {
	case "":
		return &Error{Code: CodeInvalidValue, Param: "type", Offset: content.Start - 1, Reason: "must be text, json_object or json_schema"}
	case "text":
		d.ResponseFormat = "text"
	case "json_object":
		d.ResponseFormat = "json_object"
	case "json_schema":
		d.ResponseFormat = "json_schema"
	default:
		d.ResponseFormat = string(word)
	}
	return nil
}

// readStop reads stop: a string, or an array of strings.
func (d *Document) readStop(l *lexer, kind Kind) *Error {
	if kind == String {
		d.Stops = 1
		content, err := l.str()
		d.FirstStop = quoted(content)
		return err
	}
	return l.array(func(i int) *Error {
		d.Stops = i + 1
		content, err := l.wantString("")
		if err != nil {
			return err.withinElement(i)
		}
		if i == 0 {
			d.FirstStop = quoted(content)
		}
		return nil
	})
}

// readReasoningEffort reads a word that providers add to now and then.
func (d *Document) readReasoningEffort(l *lexer) *Error {
	content, err := l.str()
	if err != nil {
		return err
	}
	var buf nameBuf
	d.ReasoningEffort = effort(d.name(&buf, content))
	return nil
}

// effort is string(word) without an allocation for the words that occur; what
// is not safe to show is nothing.
func effort(word []byte) string {
	for _, known := range [...]string{"none", "minimal", "low", "medium", "high", "xhigh", "max", "default", "auto"} {
		if string(word) == known {
			return known
		}
	}
	return safeParam(word)
}

// readExtraBody notes which extensions are asked for. A null asks for nothing,
// but strict providers refuse its name with it.
func (d *Document) readExtraBody(l *lexer) *Error {
	keys := keys{in: inExtraBody}
	return l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
			return err
		case found == keyGoogle && l.kind() == Object:
			if err := d.readGoogle(l); err != nil {
				return err.within("google")
			}
			return nil
		}
		return d.readExtension(l, ExtensionOther)
	})
}

func (d *Document) readGoogle(l *lexer) *Error {
	keys := keys{in: inGoogle}
	return l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
			return err
		case found == keyCachedContent:
			return d.readExtension(l, ExtensionCachedContent)
		case found == keyThinkingConfig:
			return d.readExtension(l, ExtensionThinkingConfig)
		}
		return d.readExtension(l, ExtensionOther)
	})
}

func (d *Document) readExtension(l *lexer, extension Extensions) *Error {
	kind, err := l.value()
	if kind == Null {
		extension = ExtensionOther
	}
	d.Extensions |= extension
	return err
}

// wordBuf holds one word unescaped.
type wordBuf [32 * maxEscape]byte

// word unescapes a string that is one of a few words, such as a role or a
// part's type. What is far longer than any of them is no word: nothing.
func (d *Document) word(buf *wordBuf, s Span) []byte {
	if s.Len() > len(buf) {
		return nil
	}
	return appendUnescaped(buf[:0], d.slice(s))
}
