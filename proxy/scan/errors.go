package scan

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
	// bytes of letters, digits and "_.-[]"; empty when no field is to blame or its name is not safe to show.
	Param string
	// Offset is the byte of the body at which the fault was found.
	Offset int
	// Reason is a sentence without its subject, such as "must be a string", safe to show.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }
