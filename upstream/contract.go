package upstream

import "slices"

//go:generate go run ./internal/matrixgen

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
	// OtherFields are the exceptions among the fields that are no Param: those that a strict contract takes, or an open one does not.
	OtherFields []string
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
	// DoneOptional says that a stream may end without [DONE]. It is whole, then, when every choice has its finish_reason
	// and the transfer has ended cleanly.
	DoneOptional bool
}

// Page is a document that a contract was read from.
type Page struct {
	// Title is the page's own, and Endpoint the address that it describes.
	Title, Endpoint string
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

// String returns the name used in config.yaml.
func (f StopForm) String() string { return stopFormNames()[f] }

// stopFormNames are config.yaml's names of the forms, in the order of their values.
func stopFormNames() []string { return []string{"as_is", "string", "array"} }

// Contracts returns every contract that config.yaml may name.
func Contracts() []*Contract {
	return []*Contract{starMagic(), theTurbo(), evolink(), openAI()}
}

// ContractByName returns the contract that config.yaml calls by this name, a new one each time.
func ContractByName(name string) (*Contract, bool) {
	for _, c := range Contracts() {
		if c.Name == name {
			return c, true
		}
	}
	return nil, false
}

func contractNames() []string {
	var names []string
	for _, c := range Contracts() {
		names = append(names, c.Name)
	}
	return names
}

// Takes reports whether the field may be sent to a provider with this contract.
func (c *Contract) Takes(p Param) bool { return c.Params.Has(p) || c.Open && !c.Denied.Has(p) }

// takesAs reports whether the field may be sent, by its own name or by its other one.
func (c *Contract) takesAs(p Param) bool {
	other, hasTwin := p.Twin()
	return c.Takes(p) || hasTwin && c.Takes(other)
}

// Passes reports whether a field that is no Param, such as "user", is passed on
// to a provider with this contract. One that is not is left out.
func (c *Contract) Passes(name string) bool {
	return slices.Contains(c.OtherFields, name) != c.Open
}

// SystemForDeveloper reports whether messages of the role developer are sent as
// those of the role system, which is the older name of the same.
func (c *Contract) SystemForDeveloper() bool {
	return c.Roles.Has(RoleSystem) && !c.Roles.Has(RoleDeveloper)
}
