package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// fits reports an option that has nothing to change: names that the provider's
// page has already, or has not, or that another option hides.
func (d *deviation) fits(option string) error {
	if field, ok := strings.CutPrefix(option, "range."); ok {
		return d.fitsRange(field)
	}
	switch option {
	case "refuses":
		return d.each(d.Refuses, d.documents, "must be optional fields that %s documents, got %q")
	case "takes":
		return cmp.Or(
			d.each(d.Takes, d.leavesOut, "must be fields that %s does not document, got %q"),
			d.refusedToo(d.Takes...),
		)
	case "ignores":
		known := func(p Provider, name string) bool { return d.documents(p, name) || slices.Contains(d.Takes, name) }
		return cmp.Or(
			d.each(d.Ignores, known, "must be optional fields that %s documents or takes names, got %q"),
			d.refusedToo(d.Ignores...),
		)
	case "no_stop_arrays":
		if !slices.ContainsFunc(d.asked(), func(p Provider) bool { return d.has(p, called("stop")) }) {
			return errors.New("changes nothing where no stop is taken")
		}
	case "refuses_roles":
		return d.each(d.RefusesRoles, documentsRole, "must be roles that %s documents, got %q")
	case "takes_roles":
		unknown := func(p Provider, role string) bool { return !documentsRole(p, role) }
		return d.each(d.TakesRoles, unknown, "must be roles that %s does not document, got %q")
	case "media_types":
		if d.Media == MediaNone {
			return errors.New("has no use beside media=none")
		}
	}
	return nil
}

// asked are the providers that deviate.
func (d *deviation) asked() []Provider {
	if d.provider != "" {
		return []Provider{d.provider}
	}
	return Providers()
}

// each reports a name that holds of none of the providers.
func (d *deviation) each(names []string, holds func(Provider, string) bool, complaint string) error {
	for _, name := range names {
		if !slices.ContainsFunc(d.asked(), func(p Provider) bool { return holds(p, name) }) {
			return fmt.Errorf(complaint, cmp.Or(string(d.provider), "some provider"), name)
		}
	}
	return nil
}

func (d *deviation) refusedToo(names ...string) error {
	for _, name := range names {
		if slices.Contains(d.Refuses, name) {
			return fmt.Errorf("%q is among refuses too", name)
		}
	}
	return nil
}

func (d *deviation) fitsRange(name string) error {
	if err := d.refusedToo(name); err != nil {
		return err
	}
	numeric := func(p Provider, name string) bool {
		return d.has(p, func(f field) bool { return f.name == name && f.numeric != nil })
	}
	return d.each([]string{name}, numeric, "NAME must be a field with a number that %s documents or takes names, got %q")
}

// has reports whether the provider takes such a field when it deviates.
func (d *deviation) has(p Provider, such func(field) bool) bool {
	return slices.ContainsFunc(contractOf(p, d.Deviations).fields, such)
}

func (*deviation) documents(p Provider, name string) bool {
	fits := func(f field) bool { return f.name == name && !f.required }
	return slices.ContainsFunc(contractOf(p, Deviations{}).fields, fits)
}

func (*deviation) leavesOut(p Provider, name string) bool {
	return !slices.ContainsFunc(contractOf(p, Deviations{}).fields, called(name))
}

// documentsRole asks the rules themselves.
func documentsRole(p Provider, role string) bool {
	err := p.Accepts(encode(map[string]any{
		"model":    p.Models()[0],
		"messages": []any{map[string]any{"role": role, "content": "Hi"}},
	}))
	var refused *Refusal
	return !errors.As(err, &refused) || refused.Param != "messages[0].role"
}

// DeviationHelp says how ParseDeviation's text is written, for the help of a command.
func DeviationHelp() string {
	return `A deviation is written as options with commas between them; several names have
+ between them, fields are those at the top of a request's body:

  provider        only starmagic, theturbo or evolink deviates (all three)

  refuses         documented fields that are refused as unknown: seed+tools
  takes           undocumented fields that are taken, checked and obeyed as at
                  a provider that documents them, and without effect when none
                  does
  ignores         documented or taken fields that are checked and have no effect
  range.NAME      another range of a field with a number: range.temperature=0..1
  no_stop_arrays  stop is one string and no array
  refuses_roles   documented roles that are refused: system
  takes_roles     undocumented roles that are taken: developer
  media           none: text only; data: no web addresses; web: those too
  media_types     other types of data: URLs: image/png+image/gif

  model           answers name this model, whichever was asked for
  errors          refusals as openai (an error object), message (an object with
                  a message alone), text or html
  placeholders    starmagic's tool_calls are [null] where no tool is called
  no_done         streams end cleanly without [DONE]
  stream_usage    of a stream: never, always, or every_chunk, asked for or not
  figures         of usage: absent, total_off (by 1), twins (input_tokens and
                  output_tokens tell, the usual two are 0), reasoning_apart
                  (reasoning is not in completion_tokens)
`
}
