package proxy

import (
	"bytes"

	"tollgate/proxy/scan"
	"tollgate/upstream"
)

// fields is what the body's top-level members mean for routing: which are
// needs, which no contract knows, and which say nothing.
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

// fieldsOf reads the needs out of a scanned document.
func fieldsOf(d *scan.Document) fields {
	f := fields{roles: make([]memberRole, len(d.Members))}
	for i, member := range d.Members {
		role := roleOf(d, member)
		f.roles[i] = role
		if role.meaning == meaningNeed {
			f.needs.Params = f.needs.Params.With(role.param)
		}
	}
	f.needs.Stops = d.Stops
	f.needs.Roles = rolesOf(d.Roles)
	for _, media := range d.Media {
		form := mediaForm(media)
		f.needs.Media |= form
		if form == upstream.MediaData {
			f.needs.MediaTypes = append(f.needs.MediaTypes, media.MIME)
		}
	}
	return f
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
	case "messages", "stream":
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
	case isDefault(member.Name, d.Raw(member)):
		return memberRole{param: param, meaning: meaningDefault}
	}
	return memberRole{param: param, meaning: meaningNeed}
}

// isDefault reports whether the value is the default that the parameter has by
// OpenAI's reference, so that leaving it out changes no answer.
// See https://platform.openai.com/docs/api-reference/chat/create.
func isDefault(name string, raw []byte) bool {
	const longest = 64
	if len(raw) > longest {
		return false
	}
	return string(bytes.Join(bytes.Fields(raw), nil)) == defaultOf(name)
}

// defaultOf is a parameter's documented default, as compact JSON; empty where
// none is documented.
func defaultOf(name string) string {
	switch name {
	case "n":
		return "1"
	case "response_format":
		return `{"type":"text"}`
	case "frequency_penalty", "presence_penalty", "top_logprobs":
		return "0"
	case "logprobs":
		return "false"
	case "top_p":
		return "1"
	case "tool_choice":
		return `"auto"`
	}
	return ""
}
