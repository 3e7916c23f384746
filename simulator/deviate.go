package simulator

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
)

func (d Deviations) clone() Deviations {
	for _, names := range []*[]string{&d.Refuses, &d.Takes, &d.Ignores, &d.RefusesRoles, &d.TakesRoles, &d.MediaTypes} {
		*names = slices.Clone(*names)
	}
	d.Ranges = maps.Clone(d.Ranges)
	return d
}

// fields are what the provider takes where its page documents these.
func (d Deviations) fields(documented []field) []field {
	taken := slices.Clone(documented)
	for _, name := range d.Takes {
		if !slices.ContainsFunc(taken, called(name)) {
			taken = append(taken, documentedElsewhere(name))
		}
	}
	taken = slices.DeleteFunc(taken, func(f field) bool { return !f.required && slices.Contains(d.Refuses, f.name) })
	for i, f := range taken {
		if ends, other := d.Ranges[f.name]; other && f.numeric != nil {
			taken[i].rule = f.numeric(ends[0], ends[1])
		}
	}
	if i := slices.IndexFunc(taken, called("stop")); i >= 0 && d.NoStopArrays {
		taken[i].rule = text
	}
	return taken
}

func called(name string) func(field) bool {
	return func(f field) bool { return f.name == name }
}

// documentedElsewhere is the field as the first page that has it documents it.
func documentedElsewhere(name string) field {
	for _, p := range Providers() {
		page := contractOf(p, Deviations{}).fields
		if i := slices.IndexFunc(page, called(name)); i >= 0 {
			return page[i]
		}
	}
	return optional(name, func(string, any) *Refusal { return nil })
}

// roles are the roles that are taken where the page documents these.
func (d Deviations) roles(documented ...string) []string {
	taken := slices.DeleteFunc(documented, func(role string) bool { return slices.Contains(d.RefusesRoles, role) })
	for _, role := range d.TakesRoles {
		if !slices.Contains(taken, role) {
			taken = append(taken, role)
		}
	}
	return taken
}

// media is what is taken where the page documents this.
func (d Deviations) media(documented mediaTerms) mediaTerms {
	if d.Media != "" {
		documented.none = d.Media == MediaNone
		documented.web = d.Media == MediaWeb
	}
	if len(d.MediaTypes) > 0 {
		documented.types = d.MediaTypes
	}
	return documented
}

// heeded is an accepted body without what is ignored.
func (d Deviations) heeded(body members) members {
	if len(d.Ignores) == 0 {
		return body
	}
	heeded := maps.Clone(body)
	for _, name := range d.Ignores {
		if name != "model" && name != "messages" {
			delete(heeded, name)
		}
	}
	return heeded
}

// refusal is how a refusal is written.
func (d Deviations) refusal(r *Refusal) (contentType string, body []byte) {
	switch d.Errors {
	case ErrorMessage:
		return "application/json", encode(struct {
			Message string `json:"message"`
		}{r.Message})
	case ErrorText:
		return "text/plain; charset=utf-8", []byte(r.Message + "\n")
	case ErrorHTML:
		title := html.EscapeString(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
		return "text/html; charset=utf-8", []byte("<html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>\n")
	}
	return "application/json", r.body()
}

// figures are the numbers of a usage object.
type figures struct{ prompt, completion, total, input, output int64 }

// of are the figures for what an answer has truly cost.
func (f Figures) of(u Usage) figures {
	told := figures{prompt: u.Prompt, completion: u.Completion, total: u.Total()}
	switch f {
	case FiguresTotalOff:
		told.total++
	case FiguresTwins:
		told.input, told.output = told.prompt, told.completion
		told.prompt, told.completion = 0, 0
	case FiguresReasoningApart:
		told.completion -= u.Reasoning
	}
	return told
}
