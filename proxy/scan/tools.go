package scan

const typeFunction = "function"

// readTools reads the tools: an array of objects. Their schemas are the provider's to judge.
func (d *Document) readTools(l *lexer) *Error {
	return l.array(func(i int) *Error {
		if err := d.readTool(l); err != nil {
			return err.withinElement(i)
		}
		return nil
	})
}

func (d *Document) readTool(l *lexer) *Error {
	if _, err := l.want(anObject, ""); err != nil {
		return err
	}
	return d.readToolObject(l, inTool, LooseToolMember)
}

// readToolObject reads a tool or a call of one. Only what a function's members
// are about is known: those of another type are left alone, wherever the type stands.
func (d *Document) readToolObject(l *lexer, in object, beside LooseKind) *Error {
	keys, isFunction, loose := keys{in: in}, false, len(d.Loose)
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
			return err
		case found == keyType:
			isFunction, err = d.readToolType(l)
			return err
		case found == keyFunction && in == inTool:
			return d.readFunction(l)
		case found == unread:
			return d.readLoose(l, beside, key)
		}
		_, err = l.value()
		return err
	})
	if !isFunction {
		d.OtherTools = true
		d.Loose = d.Loose[:loose]
	}
	return err
}

// readToolChoice reads which tool must be called. A word is the provider's to judge.
func (d *Document) readToolChoice(l *lexer, kind Kind) *Error {
	if kind != Object {
		_, err := l.value()
		return err
	}
	keys, isFunction, isEmpty := keys{in: inToolChoice}, false, true
	err := l.object(func(key Span) *Error {
		isEmpty = false
		found, err := keys.take(l, key)
		switch {
		case err != nil:
		case found == keyType:
			isFunction, err = d.readToolType(l)
		default:
			_, err = l.value()
		}
		return err
	})
	d.OtherTools = d.OtherTools || !isFunction && !isEmpty
	return err
}

// readToolType tells whether a tool's type is "function". Any other, even one
// that is no string, is a tool that only some providers know.
func (d *Document) readToolType(l *lexer) (bool, *Error) {
	if l.kind() != String {
		_, err := l.value()
		return false, err
	}
	content, err := l.str()
	if err != nil {
		return false, err
	}
	var buf wordBuf
	return string(d.word(&buf, content)) == typeFunction, nil
}

// readToolCall reads one call that an assistant made earlier. What is no object
// is no call of a function either, and otherwise the provider's to judge.
func (d *Document) readToolCall(l *lexer, i int) *Error {
	if l.kind() != Object {
		d.OtherTools = true
		_, err := l.value()
		return err
	}
	if err := d.readToolObject(l, inToolCall, LooseToolCallMember); err != nil {
		return err.withinElement(i).within("tool_calls")
	}
	return nil
}

// readFunction notes the members of a tool's function beside those that every
// provider knows there. A value of another kind is the provider's to judge.
func (d *Document) readFunction(l *lexer) *Error {
	if l.kind() != Object {
		_, err := l.value()
		return err
	}
	keys := keys{in: inFunction}
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
			return err
		case found == unread:
			return d.readLoose(l, LooseFunctionMember, key)
		}
		_, err = l.value()
		return err
	})
	if err != nil {
		return err.within("function")
	}
	return nil
}
