package upstream

// Contract says what one provider documents about its chat completion endpoint.
// It is data: every row of a provider's page that decides whether a request can
// be served there, and in which form. A contract never changes once made.
type Contract struct {
	// Name is the name by which config.yaml refers to the contract it is based on.
	Name string
	// Page is what the contract was read from.
	Page Page
	// Params are the documented request fields.
	Params ParamSet
	// Open means that fields nobody documented may be sent as well.
	Open bool
	// Denied are the fields that an open contract does not take all the same.
	Denied ParamSet
	// Ranges are the documented ranges of numbers. A field without one takes any.
	Ranges []Range
	// Words are the documented values of fields that are one of a few words. A field without any takes all.
	Words []Words
	// Extensions are the documented members of extra_body.
	Extensions ExtensionSet
	// OtherTools says that tools need not be functions.
	OtherTools bool
	// MaxStops is the largest number of stop sequences; 0: no documented limit.
	MaxStops int
	// StopForm is how stop sequences are written.
	StopForm StopForm
	// Media are the forms in which media parts may come.
	Media MediaSet
	// MediaTypes are the MIME types that a data: URL may have, "image/*" standing for every image; nil: undocumented, any.
	MediaTypes []string
	// Roles are the documented message roles; empty: undocumented, any.
	Roles RoleSet
	// MessageFields are the documented fields of a message beside role and content.
	MessageFields MessageFieldSet
	// EmptyContent says that a message's content may be null.
	EmptyContent bool
	// StreamUsage is the default of a provider's stream_usage option.
	StreamUsage StreamUsage
}

// Page is a document that a contract was read from.
type Page struct {
	// Title is the page's own, and Endpoint the address that it describes.
	Title, Endpoint string
}

// Range is the documented range of a number, both ends included; an end that is
// not documented is infinite.
type Range struct {
	Param       Param
	Least, Most float64
}

// Words are the documented values of a field that is one of a few words.
type Words struct {
	Param Param
	List  []string
}

// StopForm is how a contract wants its stop sequences.
type StopForm uint8

// The forms of stop.
const (
	StopAsIs   StopForm = iota // a string or an array, as the client wrote it
	StopString                 // a single one as a string, several as an array
	StopArray                  // an array, also of a single one
)

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
func (c *Contract) Takes(p Param) bool { return c.Params.Has(p) || c.Open && !c.Denied.Has(p) }

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

// Without returns the set with r removed.
func (s RoleSet) Without(r Role) RoleSet { return s &^ (1 << r) }

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
