package main

import (
	"slices"
	"strconv"
	"strings"

	"tollgate/upstream"
)

// no stands where a provider does not take something.
const no = "-"

// tables returns the tables of the contracts, as Markdown.
func tables() string {
	m := matrix{contracts: upstream.Contracts()}
	m.head("read from")
	m.row("page", func(c *upstream.Contract) string { return c.Page.Title })
	m.row("describes", func(c *upstream.Contract) string { return code(c.Page.Endpoint) })
	m.fields()
	m.messages()
	m.mediaTypes()
	return m.text.String()
}

// matrix is a page of tables with a column for each contract.
type matrix struct {
	contracts []*upstream.Contract
	text      strings.Builder
}

// head begins a table.
func (m *matrix) head(title string) {
	m.text.WriteString("\n")
	m.row(title, func(c *upstream.Contract) string { return code(c.Name) })
	m.text.WriteString("|" + strings.Repeat("---|", 1+len(m.contracts)) + "\n")
}

func (m *matrix) row(name string, cell func(c *upstream.Contract) string) {
	m.text.WriteString("| " + name + " |")
	for _, c := range m.contracts {
		m.text.WriteString(" " + cell(c) + " |")
	}
	m.text.WriteString("\n")
}

// fields is the table of request fields.
func (m *matrix) fields() {
	m.head("request field")
	for _, name := range upstream.AllParams().Names() {
		p, _ := upstream.ParamByName(name)
		m.row(code(name), func(c *upstream.Contract) string { return field(c, p) })
	}
	m.row("fields of no contract", func(c *upstream.Contract) string { return cell(c.Passes("user"), "yes", "dropped") })
	m.row("usage of streams", func(c *upstream.Contract) string { return code(c.StreamUsage.String()) })
}

// field says what becomes of a request field, and which values it may have.
func field(c *upstream.Contract, p upstream.Param) string {
	if !c.Takes(p) {
		return missing(c, p)
	}
	parts := []string{"yes"}
	for _, r := range c.Ranges {
		if r.Param == p && r.String() != "" {
			parts = append(parts, strings.TrimPrefix(r.String(), "of "))
		}
	}
	for _, w := range c.Words {
		if w.Param == p {
			parts = append(parts, codes(w.List))
		}
	}
	switch p {
	case upstream.ParamStop:
		parts = append(parts, stops(c)...)
	case upstream.ParamTools:
		parts = append(parts, cell(c.OtherTools, "of any type", "functions only"))
	case upstream.ParamExtraBody:
		if len(c.Extensions.Names()) < 3 { // other is the third
			parts = append(parts, codes(c.Extensions.Names()))
		}
	}
	return strings.Join(parts, ", ")
}

// missing says what becomes of a field that the contract does not take.
func missing(c *upstream.Contract, p upstream.Param) string {
	switch {
	case p == upstream.ParamStreamOptions:
		return "left out"
	case p == upstream.ParamMaxCompletionTokens && c.Takes(upstream.ParamMaxTokens):
		return "as " + code(upstream.ParamMaxTokens.String())
	case p == upstream.ParamMaxTokens && c.Takes(upstream.ParamMaxCompletionTokens):
		return "as " + code(upstream.ParamMaxCompletionTokens.String())
	case upstream.Harmless().Has(p):
		return no + " (may be dropped)"
	}
	return no
}

// stops says how many stop sequences there may be, and how they are sent.
func stops(c *upstream.Contract) []string {
	var parts []string
	if c.MaxStops > 0 {
		parts = append(parts, "at most "+strconv.Itoa(c.MaxStops))
	}
	switch c.StopForm {
	case upstream.StopString:
		parts = append(parts, "a single one as a string")
	case upstream.StopArray:
		parts = append(parts, "always as an array")
	}
	return parts
}

// messages is the table of what messages may look like.
func (m *matrix) messages() {
	m.head("message")
	for _, name := range upstream.Roles(upstream.RoleSystem, upstream.RoleDeveloper, upstream.RoleUser,
		upstream.RoleAssistant, upstream.RoleTool, upstream.RoleFunction).Names() {
		r := upstream.RoleByName(name)
		m.row("role "+code(name), func(c *upstream.Contract) string {
			if r == upstream.RoleDeveloper && c.SystemForDeveloper() {
				return "as " + code("system")
			}
			return cell(c.Roles == 0 || c.Roles.Has(r), "yes", no)
		})
	}
	for _, name := range []string{"tool_calls", "tool_call_id", "function_call", "audio"} {
		m.row(code(name), func(c *upstream.Contract) string {
			return cell(slices.Contains(c.MessageFields.Names(), name), "yes", no)
		})
	}
	m.row("neither content nor `tool_calls`", func(c *upstream.Contract) string {
		_, lacks := c.Lacks(&upstream.Needs{NoContent: true})
		return cell(!lacks, "yes", no)
	})
	m.row("content of null", func(c *upstream.Contract) string { return cell(c.EmptyContent, "yes", no) })
	for _, form := range []struct {
		name string
		set  upstream.MediaSet
	}{
		{"media by http or https address", upstream.MediaHTTP},
		{"media as base64 `data:` URL", upstream.MediaData},
		{"media as other `data:` URL", upstream.MediaPlainData},
		{"media as `input_audio`", upstream.MediaInputAudio},
		{"media in other forms", upstream.MediaOther},
	} {
		m.row(form.name, func(c *upstream.Contract) string { return cell(c.Media&form.set != 0, "yes", no) })
	}
}

// mediaTypes lists the MIME types of base64 data: URLs.
func (m *matrix) mediaTypes() {
	m.text.WriteString("\nThe media types of base64 `data:` URLs:\n\n")
	for _, c := range m.contracts {
		types := codes(c.MediaTypes)
		if c.MediaTypes == nil {
			types = "any"
		}
		m.text.WriteString("- " + code(c.Name) + ": " + types + "\n")
	}
	m.text.WriteString("\n")
}

func cell(yes bool, then, otherwise string) string {
	if yes {
		return then
	}
	return otherwise
}

func code(s string) string { return "`" + s + "`" }

func codes(list []string) string { return code(strings.Join(list, "`, `")) }
