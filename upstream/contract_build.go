package upstream

import (
	"maps"
	"math"
	"slices"
)

// The words of ContractConfig that stand for a whole list.
const (
	listAny  = "any"
	listNone = "none"
)

// The values of the options that say yes or no.
const (
	optionAllow = "allow"
	optionDeny  = "deny"
)

// The values of ContractConfig.Done.
const (
	doneRequired = "required"
	doneOptional = "optional"
)

// contract returns the contract that a valid configuration describes.
func (c ContractConfig) contract() *Contract {
	made, _ := ContractByName(c.Base)
	c.applyFields(made)
	c.applyValues(made)
	c.applyMessages(made)
	c.applyStreamUsage(made)
	if c.Done != "" {
		made.DoneOptional = c.Done == doneOptional
	}
	return made
}

// applyFields sets which fields are taken.
func (c ContractConfig) applyFields(made *Contract) {
	for _, name := range c.Allow {
		p, _ := ParamByName(name)
		made.Params, made.Denied = made.Params.With(p), made.Denied.Without(p)
	}
	for _, name := range c.Deny {
		p, _ := ParamByName(name)
		made.Params = made.Params.Without(p)
		if made.Open {
			made.Denied = made.Denied.With(p)
		}
	}
	made.OtherFields = append(slices.Clone(c.Forward), c.Drop...)
	if made.Extensions == 0 && slices.Contains(c.Allow, ParamExtraBody.String()) {
		made.Extensions = setOfAll[ExtensionSet](extensionNames())
	}
	made.Extensions = listed(c.Extensions, made.Extensions, extensionNames())
}

// applyValues sets which values the fields may have.
func (c ContractConfig) applyValues(made *Contract) {
	for _, name := range slices.Sorted(maps.Keys(c.Ranges)) {
		p, _ := ParamByName(name)
		made.Ranges = slices.DeleteFunc(made.Ranges, func(r Range) bool { return r.Param == p })
		if r := c.Ranges[name]; r != (RangeConfig{}) {
			made.Ranges = append(made.Ranges, between(p, r.Least.or(math.Inf(-1)), r.Most.or(math.Inf(1))))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Words)) {
		p, _ := ParamByName(name)
		made.Words = slices.DeleteFunc(made.Words, func(w Words) bool { return w.Param == p })
		if words := c.Words[name]; len(words) > 0 {
			made.Words = append(made.Words, Words{p, words})
		}
	}
	if c.MaxStops != 0 {
		made.MaxStops = max(c.MaxStops, 0)
	}
	if i := slices.Index(stopFormNames(), c.Stop); i >= 0 {
		made.StopForm = StopForm(i) //nolint:gosec // one of three
	}
	made.OtherTools = allowed(c.OtherTools, made.OtherTools)
}

// applyMessages sets what messages may look like.
func (c ContractConfig) applyMessages(made *Contract) {
	made.Media = listed(c.Media, made.Media, mediaNames())
	made.MessageFields = listed(c.MessageFields, made.MessageFields, messageFieldNames())
	made.EmptyContent = allowed(c.EmptyContent, made.EmptyContent)
	switch {
	case slices.Contains(c.Roles, listAny):
		made.Roles = 0
	case len(c.Roles) > 0:
		made.Roles = setOf[RoleSet](c.Roles, roleNames())
	}
	switch {
	case slices.Contains(c.MediaTypes, listAny):
		made.MediaTypes = nil
	case len(c.MediaTypes) > 0:
		made.MediaTypes = c.MediaTypes
	}
}

// applyStreamUsage sets what becomes of the usage of streams: what may be asked
// for is taken, what is not taken is not asked for, and what is allowed is passed on.
func (c ContractConfig) applyStreamUsage(made *Contract) {
	if made.StreamUsage == StreamUsageNever && slices.Contains(c.Allow, ParamStreamOptions.String()) {
		made.StreamUsage = StreamUsagePass
	}
	if usage, ok := StreamUsageByName(c.StreamUsage); ok {
		made.StreamUsage = usage
		if usage != StreamUsageNever {
			made.Params, made.Denied = made.Params.With(ParamStreamOptions), made.Denied.Without(ParamStreamOptions)
		}
	}
	if !made.Takes(ParamStreamOptions) {
		made.StreamUsage = StreamUsageNever
	}
}

// listed is the set of an option's elements, or the base's where it has none.
func listed[S ~uint8](names []string, base S, all []string) S {
	switch {
	case len(names) == 0:
		return base
	case slices.Contains(names, listAny):
		return setOfAll[S](all)
	}
	return setOf[S](names, all)
}

// allowed is what an option says, or the base's where it says nothing.
func allowed(option string, base bool) bool {
	if option == "" {
		return base
	}
	return option == optionAllow
}
