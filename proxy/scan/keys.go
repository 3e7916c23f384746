package scan

// nested is a key that Parse reads in an object below the top level.
type nested uint8

const (
	unread nested = iota // any other key: validated and passed on
	keyRole
	keyContent
	keyToolCalls
	keyToolCallID
	keyFunctionCall
	keyAudio
	keyType
	keyText
	keyImageURL
	keyInputAudio
	keyURL
	keyData
	keyFormat
	keyIncludeUsage
	keyFunction
	keyGoogle
	keyCachedContent
	keyThinkingConfig
	keyID
	keyName
	keyDescription
	keyParameters
)

// keys tells the nested keys of one object apart and refuses the second of each:
// what the gateway reads, the provider must not read differently.
type keys struct {
	in   object
	seen uint32
}

// object is a kind of object in which Parse reads nested keys.
type object uint8

const (
	inMessage object = iota
	inPart
	inImageURL
	inInputAudio
	inStreamOptions
	inResponseFormat
	inToolCall
	inTool
	inToolChoice
	inFunction
	inExtraBody
	inGoogle
)

// read tells which key of the object a name is.
func (o object) read(name []byte) nested {
	switch o {
	case inMessage:
		return messageKey(name)
	case inPart:
		return partKey(name)
	case inToolCall, inTool, inFunction:
		return o.readTool(name)
	default:
		return o.readLeaf(name)
	}
}

func messageKey(name []byte) nested {
	switch string(name) {
	case "role":
		return keyRole
	case "content":
		return keyContent
	case "tool_calls":
		return keyToolCalls
	case "tool_call_id":
		return keyToolCallID
	case "function_call":
		return keyFunctionCall
	case "audio":
		return keyAudio
	}
	return unread
}

func partKey(name []byte) nested {
	switch string(name) {
	case "type":
		return keyType
	case "text":
		return keyText
	case "image_url":
		return keyImageURL
	case "input_audio":
		return keyInputAudio
	}
	return unread
}

func (o object) readTool(name []byte) nested {
	if o == inFunction {
		switch string(name) {
		case "name":
			return keyName
		case "description":
			return keyDescription
		case "parameters":
			return keyParameters
		}
		return unread
	}
	switch string(name) {
	case "type":
		return keyType
	case "function":
		return keyFunction
	case "id":
		if o == inToolCall {
			return keyID
		}
	}
	return unread
}

func (o object) readLeaf(name []byte) nested {
	switch {
	case o == inImageURL && string(name) == "url":
		return keyURL
	case o == inInputAudio && string(name) == "data":
		return keyData
	case o == inInputAudio && string(name) == "format":
		return keyFormat
	case o == inStreamOptions && string(name) == "include_usage":
		return keyIncludeUsage
	case (o == inResponseFormat || o == inToolChoice) && string(name) == "type":
		return keyType
	case o == inExtraBody && string(name) == "google":
		return keyGoogle
	case o == inGoogle && string(name) == "cached_content":
		return keyCachedContent
	case o == inGoogle && string(name) == "thinking_config":
		return keyThinkingConfig
	}
	return unread
}

// maxNested is the length of the longest name of a nested key.
const maxNested = len("thinking_config")

// take tells which key the raw name at key is.
func (k *keys) take(l *lexer, key Span) (nested, *Error) {
	name := l.body[key.Start:key.End]
	if len(name) > maxEscape*maxNested {
		return unread, nil
	}
	found, exact := k.in.read(name), true
	if found == unread && !isFolded(name) {
		var unescapedBuf, foldedBuf [maxEscape * maxNested]byte
		unescaped := appendUnescaped(unescapedBuf[:0], name)
		name = appendFolded(foldedBuf[:0], unescaped)
		found, exact = k.in.read(name), string(name) == string(unescaped)
	}
	switch {
	case found == unread:
		return unread, nil
	case k.has(found):
		return unread, duplicate(string(name), key.Start-1)
	case !exact:
		return unread, misspelt(string(name), key.Start-1)
	}
	k.seen |= 1 << found
	return found, nil
}

func (k *keys) has(key nested) bool { return k.seen&(1<<key) != 0 }
