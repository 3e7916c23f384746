package proxy

import (
	"bytes"

	"tollgate/proxy/scan"
	"tollgate/upstream"
)

// fields is what the body's members mean for routing: which are needs, which no
// contract knows, and which say nothing. It is made to be pooled.
type fields struct {
	needs upstream.Needs
	roles []memberRole // one per member of the document
}

// memberRole says what becomes of a member when the body is rewritten for a provider.
type memberRole struct {
	param   upstream.Param
	meaning meaning
}

type meaning uint8

const (
	meaningCore    meaning = iota // messages, stream: every provider takes them
	meaningModel                  // model: every provider has its own name for it
	meaningOptions                // stream_options: Tollgate decides
	meaningNeed                   // a documented parameter that asks for something
	meaningDefault                // a documented parameter at its default
	meaningEmpty                  // a documented parameter that is null or empty
	meaningUnknown                // a field that no contract knows
)

// read reads the needs out of a scanned document.
func (f *fields) read(d *scan.Document) {
	types := emptied(f.needs.MediaTypes)
	*f = fields{roles: emptied(f.roles)}
	n := &f.needs
	for _, member := range d.Members {
		role := roleOf(d, member)
		f.roles = append(f.roles, role)
		if role.meaning == meaningNeed {
			n.Params = n.Params.With(role.param)
			n.Numbers[role.param] = member.Number
		}
	}
	n.ReasoningEffort, n.ResponseFormat = d.ReasoningEffort, d.ResponseFormat
	n.Extensions = extensionsOf(d.Extensions)
	n.OtherTools, n.EmptyContent, n.NoContent = d.OtherTools, d.EmptyContent, d.NoContent
	n.Stops = d.Stops
	n.Roles = rolesOf(d.Roles)
	for _, media := range d.Media {
		form := mediaForm(media)
		n.Media |= form
		if form == upstream.MediaData {
			types = append(types, media.MIME)
		}
	}
	n.MediaTypes = types
	for i := range d.Loose {
		if l := &d.Loose[i]; !l.Empty {
			n.MessageFields |= messageField(l.Kind)
		}
	}
}

// emptied keeps a slice's memory, unless it holds more than most requests need, and
// nothing of what the client sent.
func emptied[T any](s []T) []T {
	const mostNeed = 128
	if cap(s) > mostNeed {
		return nil
	}
	clear(s)
	return s[:0]
}

// mediaForm is the form in which a part brings its medium.
func mediaForm(media scan.Media) upstream.MediaSet {
	switch {
	case media.Kind == scan.InputAudio:
		return upstream.MediaInputAudio
	case media.Kind != scan.ImageURL:
		return upstream.MediaOther
	case media.HTTP:
		return upstream.MediaHTTP
	case media.Base64:
		return upstream.MediaData
	case media.MIME != "":
		return upstream.MediaPlainData
	}
	return upstream.MediaOther
}

// messageField is the documented field of a message that a loose member is; 0: it is none.
func messageField(kind scan.LooseKind) upstream.MessageFieldSet {
	switch kind {
	case scan.LooseToolCalls:
		return upstream.FieldToolCalls
	case scan.LooseToolCallID:
		return upstream.FieldToolCallID
	case scan.LooseFunctionCall:
		return upstream.FieldFunctionCall
	case scan.LooseAudio:
		return upstream.FieldAudio
	}
	return 0
}

func extensionsOf(read scan.Extensions) upstream.ExtensionSet {
	var extensions upstream.ExtensionSet
	for _, pair := range [...]struct {
		scanned   scan.Extensions
		extension upstream.ExtensionSet
	}{
		{scan.ExtensionCachedContent, upstream.ExtensionCachedContent},
		{scan.ExtensionThinkingConfig, upstream.ExtensionThinkingConfig},
		{scan.ExtensionOther, upstream.ExtensionOther},
	} {
		if read&pair.scanned != 0 {
			extensions |= pair.extension
		}
	}
	return extensions
}

func rolesOf(used scan.Roles) upstream.RoleSet {
	var roles upstream.RoleSet
	for _, pair := range [...]struct {
		scanned scan.Roles
		role    upstream.Role
	}{
		{scan.RoleSystem, upstream.RoleSystem},
		{scan.RoleDeveloper, upstream.RoleDeveloper},
		{scan.RoleUser, upstream.RoleUser},
		{scan.RoleAssistant, upstream.RoleAssistant},
		{scan.RoleTool, upstream.RoleTool},
		{scan.RoleFunction, upstream.RoleFunction},
		{scan.RoleOther, upstream.RoleOther},
	} {
		if used.Has(pair.scanned) {
			roles = roles.With(pair.role)
		}
	}
	return roles
}

func roleOf(d *scan.Document, member scan.Member) memberRole {
	switch member.Name {
	case "model":
		return memberRole{meaning: meaningModel}
	case "messages":
		return memberRole{meaning: meaningCore}
	case "stream":
		if member.Kind == scan.Null {
			return memberRole{param: upstream.ParamStream, meaning: meaningEmpty}
		}
		return memberRole{meaning: meaningCore}
	case "stream_options":
		return memberRole{meaning: meaningOptions}
	}
	param, known := upstream.ParamByName(member.Name)
	switch {
	case !known:
		return memberRole{meaning: meaningUnknown}
	case d.Empty(member):
		return memberRole{param: param, meaning: meaningEmpty}
	case isDefault(d, param, member):
		return memberRole{param: param, meaning: meaningDefault}
	}
	return memberRole{param: param, meaning: meaningNeed}
}

// isDefault reports whether the value is the default that the parameter has by
// OpenAI's reference, so that leaving it out changes no answer.
// See https://platform.openai.com/docs/api-reference/chat/create.
func isDefault(d *scan.Document, p upstream.Param, member scan.Member) bool {
	raw := d.Raw(member)
	switch p {
	case upstream.ParamN, upstream.ParamTopP:
		return member.Kind == scan.Number && member.Number == 1
	case upstream.ParamFrequencyPenalty, upstream.ParamPresencePenalty, upstream.ParamTopLogprobs:
		return member.Kind == scan.Number && member.Number == 0
	case upstream.ParamLogprobs:
		return string(raw) == "false"
	case upstream.ParamToolChoice:
		return string(raw) == `"auto"`
	case upstream.ParamResponseFormat:
		return d.ResponseFormat == "text" && bytes.IndexByte(raw, ',') < 0
	}
	return false
}
