package upstream

import "slices"

// Needs is what a request asks of the provider that serves it. The zero value
// can be served by everyone.
type Needs struct {
	// Params are the request's fields that are present, not null, not empty and not at their default.
	Params ParamSet
	// Numbers are the values of the fields in Params that are numbers.
	Numbers [paramCount]float64
	// ReasoningEffort and ResponseFormat are the words of these fields, where they are in Params.
	ReasoningEffort, ResponseFormat string
	// Extensions are the members of extra_body.
	Extensions ExtensionSet
	// OtherTools says that a tool, the choice of one, or a call of one is not a function.
	OtherTools bool
	// Stops is the number of stop sequences.
	Stops int
	// Media are the forms in which media parts come.
	Media MediaSet
	// MediaTypes are the MIME types of the request's base64 data: URLs, in lower case.
	MediaTypes []string
	// Roles are the roles that the messages have.
	Roles RoleSet
	// MessageFields are the fields of messages beside role and content that are present, not null and not empty.
	MessageFields MessageFieldSet
	// EmptyContent says that a message's content is null, or left out beside tool_calls.
	EmptyContent bool
	// NoContent says that a message has neither content nor tool_calls.
	NoContent bool
}

// without is the needs of a request that leaves a field out.
func (n Needs) without(p Param) Needs {
	n.Params = n.Params.Without(p)
	switch p {
	case ParamMessages:
		n.Media, n.MediaTypes, n.Roles, n.MessageFields, n.EmptyContent, n.NoContent = 0, nil, 0, 0, false, false
	case ParamExtraBody:
		n.Extensions = 0
	case ParamTools:
		n.OtherTools = false
	case ParamStop:
		n.Stops = 0
	}
	return n
}

// word is the value of a field that is one of a few words.
func (n *Needs) word(p Param) string {
	if p == ParamResponseFormat {
		return n.ResponseFormat
	}
	return n.ReasoningEffort
}

// Names says in short plain words what a request needs, for operators, such as
// "tools", "n=2" and "media image/png". They are safe to show, as Explain is.
// What every request has, the role user among it, is not named.
func (n *Needs) Names() []string {
	var names []string
	for p := range paramCount {
		if n.Params.Has(p) {
			names = append(names, n.nameOf(p)...)
		}
	}
	if n.OtherTools {
		names = append(names, "tools that are not functions")
	}
	return append(names, n.messageNames()...)
}

// nameOf names what a request needs of one of its fields.
func (n *Needs) nameOf(p Param) []string {
	switch p {
	case ParamModel, ParamMessages, ParamStream:
		return nil
	case ParamStop:
		return []string{plural(n.Stops, "stop sequence")}
	case ParamReasoningEffort, ParamResponseFormat:
		return []string{p.String() + "=" + shown(n.word(p))}
	case ParamExtraBody:
		return append([]string{"extra_body"}, (n.Extensions &^ ExtensionOther).Names()...)
	}
	if numberParams().Has(p) {
		return []string{p.String() + "=" + shortNumber(n.Numbers[p])}
	}
	return []string{p.String()}
}

// messageNames names what a request needs of its messages.
func (n *Needs) messageNames() []string {
	var names []string
	for _, role := range n.Roles.Without(RoleUser).Names() {
		names = append(names, "role "+role)
	}
	if n.Roles.Has(RoleOther) {
		names = append(names, "another role")
	}
	names = append(names, n.MessageFields.Names()...)
	if n.EmptyContent {
		names = append(names, "messages without content")
	}
	if n.NoContent {
		names = append(names, "messages without content or tool_calls")
	}
	// Base64 data: URLs are told by their types.
	for form := MediaHTTP; form <= MediaOther; form <<= 1 {
		if n.Media&form != 0 && form != MediaData {
			names = append(names, mediaForm(form))
		}
	}
	for _, mime := range n.MediaTypes {
		if name := "media " + ofType(mime); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
