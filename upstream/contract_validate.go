package upstream

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// validateContract checks the contract, and what the provider says of stream_usage beside it.
func (p ProviderConfig) validateContract(s section) {
	base, known := ContractByName(p.Contract.Base)
	if !known {
		option := "contract"
		if !p.Contract.short() {
			option = "contract.base"
		}
		s.add(option, "must be %s, got %q", either(contractNames()), p.Contract.Base)
	} else {
		p.Contract.validate(s.at("contract"), base)
	}
	if p.StreamUsage != "" {
		p.validateStreamUsage(s, known)
	}
}

// validateStreamUsage checks what the provider says of stream_usage. Only the contract's
// own option says that stream_options is taken: here it would contradict the contract.
func (p ProviderConfig) validateStreamUsage(s section, isContract bool) {
	usage, named := StreamUsageByName(p.StreamUsage)
	switch {
	case !named:
		s.add("stream_usage", "must be inject, pass or never, got %q", p.StreamUsage)
	case p.Contract.StreamUsage != "":
		s.add("stream_usage", "is %s, and contract.stream_usage is %s; leave one of them out", p.StreamUsage, p.Contract.StreamUsage)
	case !isContract, usage == StreamUsageNever, p.Contract.contract().Takes(ParamStreamOptions):
	case slices.Contains(p.Contract.Deny, ParamStreamOptions.String()):
		s.add("stream_usage", "must not be %s: stream_options is in contract.deny; leave it out of one of them", usage)
	default:
		taking := p.Contract
		taking.StreamUsage = p.StreamUsage
		s.add("stream_usage", "must not be %s: the %s contract does not document stream_options; use never, or leave it out and say that the provider takes it: contract: %s",
			usage, p.Contract.Base, taking.YAML())
	}
}

// validate checks the options one by one, and those that contradict each other.
func (c ContractConfig) validate(s section, base *Contract) {
	before := len(*s.problems)
	c.validateFields(s)
	c.validateOtherFields(s, base)
	c.validateRanges(s)
	c.validateWords(s)
	if c.MaxStops < -1 || c.MaxStops > maxWeight {
		s.add("max_stops", "must be between 1 and %d, or -1 for any number, got %d", maxWeight, c.MaxStops)
	}
	s.oneOf("stop", c.Stop, stopFormNames())
	s.oneOf("other_tools", c.OtherTools, []string{optionAllow, optionDeny})
	s.oneOf("empty_content", c.EmptyContent, []string{optionAllow, optionDeny})
	s.listOf("extensions", c.Extensions, extensionNames(), listAny, listNone)
	s.listOf("media", c.Media, mediaNames(), listAny, listNone)
	s.listOf("message_fields", c.MessageFields, messageFieldNames(), listAny, listNone)
	s.listOf("roles", c.Roles, roleNames(), listAny)
	c.validateMediaTypes(s)
	s.oneOf("stream_usage", c.StreamUsage, []string{"inject", "pass", "never"})
	s.oneOf("done", c.Done, []string{doneRequired, doneOptional})
	asks := c.StreamUsage == "inject" || c.StreamUsage == "pass"
	if asks && slices.Contains(c.Deny, ParamStreamOptions.String()) {
		s.add("stream_usage", "must not be %s: stream_options is in deny; leave it out of one of them", c.StreamUsage)
	}
	if len(*s.problems) == before {
		c.validateTaken(s)
	}
}

// validateTaken reports options that are about a field which the contract does not take
// with all its options: they would change nothing. What lifts something may stand.
func (c ContractConfig) validateTaken(s section) {
	made := c.contract()
	about := func(option, field string) {
		p, _ := ParamByName(field)
		switch {
		case made.takesAs(p):
		case slices.Contains(c.Deny, field):
			s.add(option, "is about %q, which is in deny; leave it out of one of them", field)
		default:
			s.add(option, "is about %q, which the %s contract does not take; leave it out, or put %q into allow", field, c.Base, field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(c.Ranges)) {
		if c.Ranges[field] != (RangeConfig{}) {
			about("ranges."+field, field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(c.Words)) {
		if len(c.Words[field]) > 0 {
			about("words."+field, field)
		}
	}
	if c.MaxStops != 0 {
		about("max_stops", ParamStop.String())
	}
	if c.Stop != "" {
		about("stop", ParamStop.String())
	}
	if len(c.Extensions) > 0 && c.Extensions[0] != listNone {
		about("extensions", ParamExtraBody.String())
	}
	if c.OtherTools == optionAllow {
		about("other_tools", ParamTools.String())
	}
}

// oneOf reports a word that is none of those; an empty one is the base's.
func (s section) oneOf(option, got string, words []string) {
	if got != "" && !slices.Contains(words, got) {
		s.add(option, "must be %s, got %q", either(words), got)
	}
}

// listOf reports elements that are none of those. The last words stand for a
// whole list, and so alone.
func (s section) listOf(option string, got, elements []string, whole ...string) {
	for i, name := range got {
		item := fmt.Sprintf("%s[%d]", option, i)
		switch {
		case slices.Contains(whole, name) && len(got) > 1:
			s.add(item, "%q must stand alone", name)
		case !slices.Contains(elements, name) && !slices.Contains(whole, name):
			s.add(item, "must be %s, got %q", either(slices.Concat(elements, whole)), name)
		}
	}
}

// inEveryRequest are the fields without which there is no request.
func inEveryRequest() ParamSet { return Params(ParamModel, ParamMessages, ParamStream) }

func (c ContractConfig) validateFields(s section) {
	for i, name := range c.Allow {
		if _, known := ParamByName(name); !known {
			s.add(fmt.Sprintf("allow[%d]", i), "%q is none of %s; other fields go into forward", name, fieldList())
		}
	}
	for i, name := range c.Deny {
		item := fmt.Sprintf("deny[%d]", i)
		p, known := ParamByName(name)
		switch {
		case !known:
			s.add(item, "%q is none of %s; other fields go into drop", name, fieldList())
		case inEveryRequest().Has(p):
			s.add(item, "must not be %q, which every request has", name)
		case slices.Contains(c.Allow, name):
			s.add(item, "%q is in allow as well; leave it out of one of them", name)
		}
	}
}

func fieldList() string {
	return strings.Join((AllParams() &^ inEveryRequest()).Names(), ", ")
}

// fieldName is what a field of a request looks like that no contract documents.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)

func (c ContractConfig) validateOtherFields(s section, base *Contract) {
	if base.Open && len(c.Forward) > 0 {
		s.add("forward", "must be empty: with the base %s every field is forwarded", base.Name)
	}
	if !base.Open && len(c.Drop) > 0 {
		s.add("drop", "must be empty: with the base %s every field that no provider documents is dropped", base.Name)
	}
	for _, o := range []struct {
		option, instead string
		names           []string
	}{{"forward", "allow", c.Forward}, {"drop", "deny", c.Drop}} {
		for i, name := range o.names {
			item := fmt.Sprintf("%s[%d]", o.option, i)
			if _, known := ParamByName(name); known {
				s.add(item, "%q is a documented field; it goes into %s", name, o.instead)
			} else if !fieldName.MatchString(name) {
				s.add(item, "must be the name of a field such as \"user\", got %q", name)
			}
		}
	}
}

func (c ContractConfig) validateRanges(s section) {
	for _, name := range slices.Sorted(maps.Keys(c.Ranges)) {
		p, known := ParamByName(name)
		if !known || !numberParams().Has(p) {
			s.add("ranges", "%q is none of %s", name, strings.Join(numberParams().Names(), ", "))
			continue
		}
		if r := c.Ranges[name]; r.Least != "" && r.Most != "" && r.Least.or(0) > r.Most.or(0) {
			s.add("ranges."+name, "least must not be above most, got %s and %s", r.Least, r.Most)
		}
	}
}

func (c ContractConfig) validateWords(s section) {
	for _, name := range slices.Sorted(maps.Keys(c.Words)) {
		if name != ParamReasoningEffort.String() && name != ParamResponseFormat.String() {
			s.add("words", "%q is none of reasoning_effort, response_format", name)
			continue
		}
		for i, word := range c.Words[name] {
			if !plainWord.MatchString(word) {
				s.add(fmt.Sprintf("words.%s[%d]", name, i), "must be a word such as \"low\", of 1 to 64 letters, digits and any of . _ -, got %q", word)
			}
		}
	}
}

// mimePattern is a MIME type in lower case, or every one of its class.
var mimePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*/([a-z0-9][a-z0-9.+-]*|\*)$`)

func (c ContractConfig) validateMediaTypes(s section) {
	for i, mime := range c.MediaTypes {
		item := fmt.Sprintf("media_types[%d]", i)
		switch {
		case mime == listAny && len(c.MediaTypes) > 1:
			s.add(item, "%q must stand alone", mime)
		case mime != listAny && !mimePattern.MatchString(mime):
			s.add(item, "must be a MIME type in lower case such as image/png or image/*, or any alone, got %q", mime)
		}
	}
}
