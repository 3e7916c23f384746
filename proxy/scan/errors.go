package scan

import "strconv"

// The codes of an Error.
const (
	CodeInvalidJSON     = "invalid_json"     // not a strict JSON document
	CodeTooDeep         = "too_deep"         // nested beyond MaxDepth
	CodeTooManyFields   = "too_many_fields"  // more than MaxMembers members at the top level
	CodeDuplicateField  = "duplicate_field"  // a field twice, after unescaping and case folding
	CodeUnknownSpelling = "unknown_spelling" // a known field in other letters, such as "Model"
	CodeMissingField    = "missing_field"    // a required field is absent
	CodeInvalidType     = "invalid_type"     // a field has another JSON type than documented
	CodeInvalidValue    = "invalid_value"    // the type is right, the value out of range
)

// Error is why a body was refused. It never holds a value from the body.
type Error struct {
	// Code is one of the Code constants.
	Code string
	// Param is the field at fault, such as messages[3].content: at most 64
	// bytes of letters, digits and "_.-[]"; empty when the whole body is at
	// fault, or when the field's name is not safe to show.
	Param string
	// Offset is the byte of the body at which the fault was found.
	Offset int
	// Reason is a predicate without its subject, such as "must be a string", safe to show.
	Reason string
}

// Error implements error: a full sentence, safe to show to the client.
func (e *Error) Error() string {
	subject := e.Param
	if subject == "" {
		subject = "the request body"
	}
	return subject + " " + e.Reason + " (at byte " + strconv.Itoa(e.Offset) + ")"
}

// within puts the field at fault into its container: a member's name, or an
// element such as "[3]". Faults of the document as a whole belong to no field.
func (e *Error) within(container string) *Error {
	switch {
	case e.Code == CodeInvalidJSON || e.Code == CodeTooDeep:
		return e
	case e.Param != "" && e.Param[0] != '[':
		container += "."
	}
	e.Param = container + e.Param
	return e
}

// withinElement is within for one element of an array.
func (e *Error) withinElement(i int) *Error { return e.within("[" + strconv.Itoa(i) + "]") }

func duplicate(param string, offset int) *Error {
	reason := "appears more than once"
	if param == "" {
		reason = "has a field more than once"
	}
	return &Error{Code: CodeDuplicateField, Param: param, Offset: offset, Reason: reason}
}

func misspelt(param string, offset int) *Error {
	return &Error{
		Code: CodeUnknownSpelling, Param: param, Offset: offset,
		Reason: "must be spelled exactly so: some readers take the letters sent for the same name",
	}
}

func missing(param string, offset int) *Error {
	return &Error{Code: CodeMissingField, Param: param, Offset: offset, Reason: "is required"}
}

// safeParam returns a name, of at most MaxName bytes, if it can be shown, logged and put into a header, else nothing.
func safeParam(name []byte) string {
	for _, b := range name {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '_', b == '-', b == '.':
		default:
			return ""
		}
	}
	return string(name)
}
