package upstream

import "slices"

// Differences returns the configuration that makes c of base, which is one that
// ContractByName returns. Both are open, or neither is.
func Differences(base, c *Contract) ContractConfig {
	d := ContractConfig{Base: base.Name}
	for p := range paramCount {
		switch {
		case c.Params.Has(p) && !base.Params.Has(p):
			d.Allow = append(d.Allow, p.String())
		case base.Takes(p) && !c.Takes(p):
			d.Deny = append(d.Deny, p.String())
		}
	}
	if c.Open {
		d.Drop = slices.Clone(c.OtherFields)
	} else {
		d.Forward = slices.Clone(c.OtherFields)
	}
	d.addValues(base, c)
	d.addMessages(base, c)
	if c.DoneOptional != base.DoneOptional {
		d.Done = doneRequired
		if c.DoneOptional {
			d.Done = doneOptional
		}
	}
	if made := d.contract(); made.Extensions != c.Extensions && c.Takes(ParamExtraBody) {
		d.Extensions = list(c.Extensions, extensionNames())
	}
	if c.StreamUsage != StreamUsageNever { // stream_usage says so by itself
		d.Allow = slices.DeleteFunc(d.Allow, func(name string) bool { return name == ParamStreamOptions.String() })
	}
	if made := d.contract(); made.StreamUsage != c.StreamUsage {
		d.StreamUsage = c.StreamUsage.String()
	}
	return d
}

// addValues adds what c says otherwise of the values of fields, as far as it takes them.
func (d *ContractConfig) addValues(base, c *Contract) {
	for p := range paramCount {
		if !c.takesAs(p) {
			continue
		}
		if r := c.numberRange(p); r != base.numberRange(p) {
			if d.Ranges == nil {
				d.Ranges = make(map[string]RangeConfig)
			}
			d.Ranges[p.String()] = RangeConfig{bound(r.Least), bound(r.Most)}
		}
		if words := c.words(p); !slices.Equal(words, base.words(p)) {
			if d.Words == nil {
				d.Words = make(map[string][]string)
			}
			d.Words[p.String()] = slices.Clone(words)
		}
	}
	if c.MaxStops != base.MaxStops && c.Takes(ParamStop) {
		d.MaxStops = c.MaxStops
		if d.MaxStops == 0 {
			d.MaxStops = -1
		}
	}
	if c.StopForm != base.StopForm && c.Takes(ParamStop) {
		d.Stop = c.StopForm.String()
	}
	if c.Takes(ParamTools) {
		d.OtherTools = allowing(c.OtherTools, base.OtherTools)
	}
}

// addMessages adds what c says otherwise of messages.
func (d *ContractConfig) addMessages(base, c *Contract) {
	if c.Media != base.Media {
		d.Media = list(c.Media, mediaNames())
	}
	if c.MessageFields != base.MessageFields {
		d.MessageFields = list(c.MessageFields, messageFieldNames())
	}
	d.EmptyContent = allowing(c.EmptyContent, base.EmptyContent)
	if c.Roles != base.Roles {
		d.Roles = c.Roles.Names()
		if c.Roles == 0 {
			d.Roles = []string{listAny}
		}
	}
	if !slices.Equal(c.MediaTypes, base.MediaTypes) {
		d.MediaTypes = slices.Clone(c.MediaTypes)
		if c.MediaTypes == nil {
			d.MediaTypes = []string{listAny}
		}
	}
}

// list is the option that makes this set.
func list[S ~uint8](s S, all []string) []string {
	switch s {
	case 0:
		return []string{listNone}
	case setOfAll[S](all):
		return []string{listAny}
	}
	return namesIn(s, all)
}

// allowing is the option that turns base into v; empty when they are the same.
func allowing(v, base bool) string {
	switch {
	case v == base:
		return ""
	case v:
		return optionAllow
	}
	return optionDeny
}
