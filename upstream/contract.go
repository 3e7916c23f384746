package upstream

import (
	"slices"
	"strings"
)

// Contract says what one provider documents about its chat completion endpoint.
// It is data: every row of a provider's page that decides whether a request can
// be served there. A contract never changes once made.
type Contract struct {
	// Name is the name by which config.yaml refers to the contract.
	Name string
	// Params are the documented request fields.
	Params ParamSet
	// Open means that fields nobody documented may be sent as well.
	Open bool
	// StreamUsage is the default of a provider's stream_usage option.
	StreamUsage StreamUsage
	// MaxStops is the largest number of stop sequences; 0: no documented limit.
	MaxStops int
	// HTTPMedia says that media parts may be http(s) URLs.
	HTTPMedia bool
	// DataMedia says that media parts may be base64 data: URLs.
	DataMedia bool
	// MediaTypes are the MIME types that a data: URL may have, "image/*" standing for every image; nil: undocumented, any.
	MediaTypes []string
	// Roles are the documented message roles; empty: undocumented, any.
	Roles RoleSet
}

// ContractByName returns the contract that config.yaml calls by this name.
func ContractByName(name string) (*Contract, bool) {
	switch name {
	case "starmagic":
		return starMagic(), true
	case "theturbo":
		return theTurbo(), true
	case "evolink":
		return evolink(), true
	case "openai":
		return openAI(), true
	}
	return nil, false
}

// Takes reports whether the field may be sent to a provider with this contract.
func (c *Contract) Takes(p Param) bool { return c.Open || c.Params.Has(p) }

// Needs is what a request asks of the provider that serves it. The zero value
// can be served by everyone.
type Needs struct {
	// Params are the request's fields that are present, not null, not empty and not at their default.
	Params ParamSet
	// Stops is the number of stop sequences.
	Stops int
	// HTTPMedia says that a media part is an http(s) URL.
	HTTPMedia bool
	// MediaTypes are the MIME types of the request's data: URLs, in lower case.
	MediaTypes []string
	// Roles are the roles that the messages have.
	Roles RoleSet
}

// Lacks reports the first request field by which this contract cannot serve n,
// fit for the `param` of an error answer; false when it can serve everything.
// stream_options is never lacking: Tollgate leaves it out and counts itself.
func (c *Contract) Lacks(n *Needs) (param string, lacks bool) {
	if p, ok := c.missing(n).First(); ok {
		return p.String(), true
	}
	switch {
	case c.MaxStops > 0 && n.Stops > c.MaxStops:
		return ParamStop.String(), true
	case !c.takesMedia(n), !c.takesRoles(n.Roles):
		return ParamMessages.String(), true
	}
	return "", false
}

// missing returns the fields that n needs and this contract does not take.
func (c *Contract) missing(n *Needs) ParamSet {
	if c.Open {
		return 0
	}
	return n.Params.Without(ParamStreamOptions) &^ c.Params
}

// takesMedia reports whether every media part of n has a form and a type that
// the contract documents.
func (c *Contract) takesMedia(n *Needs) bool {
	if n.HTTPMedia && !c.HTTPMedia {
		return false
	}
	if len(n.MediaTypes) > 0 && !c.DataMedia {
		return false
	}
	return !slices.ContainsFunc(n.MediaTypes, func(mime string) bool { return !c.takesMediaType(mime) })
}

// takesMediaType reports whether a data: URL may have this MIME type.
func (c *Contract) takesMediaType(mime string) bool {
	return c.MediaTypes == nil || slices.ContainsFunc(c.MediaTypes, func(documented string) bool {
		class, any := strings.CutSuffix(documented, "*")
		return documented == mime || any && strings.HasPrefix(mime, class)
	})
}

// takesRoles reports whether the contract documents all the given roles.
func (c *Contract) takesRoles(roles RoleSet) bool {
	return c.Roles == 0 || roles&^c.Roles == 0
}

// Role is who a message is from.
type Role uint8

// The message roles of the chat completion format.
const (
	RoleSystem Role = iota
	RoleDeveloper
	RoleUser
	RoleAssistant
	RoleTool
	RoleFunction
	RoleOther // a role nobody documents
)

// RoleByName returns the Role of a message's role field, RoleOther when unknown.
func RoleByName(name string) Role {
	switch name {
	case "system":
		return RoleSystem
	case "developer":
		return RoleDeveloper
	case "user":
		return RoleUser
	case "assistant":
		return RoleAssistant
	case "tool":
		return RoleTool
	case "function":
		return RoleFunction
	}
	return RoleOther
}

// RoleSet is a set of Roles; the zero value is empty.
type RoleSet uint8

// Roles returns the set of the given roles.
func Roles(roles ...Role) RoleSet {
	var s RoleSet
	for _, r := range roles {
		s = s.With(r)
	}
	return s
}

// Has reports whether r is in the set.
func (s RoleSet) Has(r Role) bool { return s&(1<<r) != 0 }

// With returns the set with r added.
func (s RoleSet) With(r Role) RoleSet { return s | 1<<r }

// StreamUsage says whether stream_options.include_usage may be sent to a provider.
type StreamUsage uint8

const (
	// StreamUsageNever never sends it; the usage chunk comes from Tollgate's own count.
	StreamUsageNever StreamUsage = iota
	// StreamUsagePass sends it when the client did.
	StreamUsagePass
	// StreamUsageInject always asks for it, and keeps the chunk from a client that did not.
	StreamUsageInject
)

// StreamUsageByName returns the value that config.yaml calls by this name.
func StreamUsageByName(name string) (StreamUsage, bool) {
	switch name {
	case "never":
		return StreamUsageNever, true
	case "pass":
		return StreamUsagePass, true
	case "inject":
		return StreamUsageInject, true
	}
	return StreamUsageNever, false
}

// String returns the name used in config.yaml.
func (u StreamUsage) String() string {
	switch u {
	case StreamUsagePass:
		return "pass"
	case StreamUsageInject:
		return "inject"
	}
	return "never"
}
