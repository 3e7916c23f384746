package upstream

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Needs is what a request asks of the provider that serves it. The zero value
// can be served by everyone.
type Needs struct {
	// Params are the request's fields that are present, not null, not empty and not at their default.
	Params ParamSet
	// Numbers are the values of the fields in Params that are numbers.
	Numbers [paramCount]float64
	// ReasoningEffort and ResponseFormat are the words of these fields, where they are in Params.
	ReasoningEffort, ResponseFormat string
	// Extensions are the members of extra_body.
	Extensions ExtensionSet
	// OtherTools says that a tool is not a function.
	OtherTools bool
	// Stops is the number of stop sequences.
	Stops int
	// Media are the forms in which media parts come.
	Media MediaSet
	// MediaTypes are the MIME types of the request's base64 data: URLs, in lower case.
	MediaTypes []string
	// Roles are the roles that the messages have.
	Roles RoleSet
	// MessageFields are the fields of messages beside role and content that are present, not null and not empty.
	MessageFields MessageFieldSet
	// EmptyContent says that a message's content is null.
	EmptyContent bool
}

// Lack is a reason why a contract cannot serve a request.
type Lack struct {
	// Param is the request field at fault.
	Param Param
	kind  lackKind
	index int // of a media type
}

type lackKind uint8

const (
	lackField lackKind = iota
	lackRange
	lackWord
	lackExtension
	lackTool
	lackStops
	lackMediaForm
	lackMediaType
	lackRole
	lackMessageField
	lackContent
)

// Lacks reports the first reason by which this contract cannot serve n; false
// when it can serve everything. stream_options is never lacking: Tollgate leaves
// it out and counts itself. Nor is what can be said in another way that means the same.
func (c *Contract) Lacks(n *Needs) (Lack, bool) {
	if p, ok := c.missing(n).First(); ok {
		return Lack{Param: p}, true
	}
	if l, lacks := c.lacksValue(n); lacks {
		return l, true
	}
	return c.lacksMessage(n)
}

// missing returns the fields that n needs and this contract does not take.
func (c *Contract) missing(n *Needs) ParamSet {
	need := n.Params.Without(ParamStreamOptions)
	if c.Takes(ParamMaxTokens) {
		need = need.Without(ParamMaxCompletionTokens)
	} else if c.Takes(ParamMaxCompletionTokens) {
		need = need.Without(ParamMaxTokens)
	}
	if c.Open {
		return need & c.Denied
	}
	return need &^ c.Params
}

// lacksValue looks at the values of the fields.
func (c *Contract) lacksValue(n *Needs) (Lack, bool) {
	for _, r := range c.Ranges {
		if v := n.Numbers[r.Param]; n.Params.Has(r.Param) && (v < r.Least || v > r.Most) {
			return Lack{Param: r.Param, kind: lackRange}, true
		}
	}
	for _, w := range c.Words {
		if n.Params.Has(w.Param) && !slices.Contains(w.List, n.word(w.Param)) {
			return Lack{Param: w.Param, kind: lackWord}, true
		}
	}
	switch {
	case !c.Open && n.Extensions&^c.Extensions != 0:
		return Lack{Param: ParamExtraBody, kind: lackExtension}, true
	case n.OtherTools && !c.OtherTools:
		return Lack{Param: ParamTools, kind: lackTool}, true
	case c.MaxStops > 0 && n.Stops > c.MaxStops:
		return Lack{Param: ParamStop, kind: lackStops}, true
	}
	return Lack{}, false
}

// word is the value of a field that is one of a few words.
func (n *Needs) word(p Param) string {
	if p == ParamResponseFormat {
		return n.ResponseFormat
	}
	return n.ReasoningEffort
}

// lacksMessage looks at the messages.
func (c *Contract) lacksMessage(n *Needs) (Lack, bool) {
	lack := Lack{Param: ParamMessages}
	switch {
	case n.Media&^c.Media != 0:
		lack.kind = lackMediaForm
	case c.unknownMediaType(n) >= 0:
		lack.kind, lack.index = lackMediaType, c.unknownMediaType(n)
	case c.Roles != 0 && c.spoken(n.Roles)&^c.Roles != 0:
		lack.kind = lackRole
	case !c.Open && n.MessageFields&^c.MessageFields != 0:
		lack.kind = lackMessageField
	case n.EmptyContent && !c.EmptyContent:
		lack.kind = lackContent
	default:
		return Lack{}, false
	}
	return lack, true
}

// spoken is the set of roles as they would be sent: see SystemForDeveloper.
func (c *Contract) spoken(roles RoleSet) RoleSet {
	if roles.Has(RoleDeveloper) && c.SystemForDeveloper() {
		return roles.Without(RoleDeveloper).With(RoleSystem)
	}
	return roles
}

// SystemForDeveloper reports whether messages of the role developer are sent as
// those of the role system, which is the older name of the same.
func (c *Contract) SystemForDeveloper() bool {
	return c.Roles.Has(RoleSystem) && !c.Roles.Has(RoleDeveloper)
}

// unknownMediaType is the index of the first of n's media types that the contract does not list, or -1.
func (c *Contract) unknownMediaType(n *Needs) int {
	if c.MediaTypes == nil {
		return -1
	}
	return slices.IndexFunc(n.MediaTypes, func(mime string) bool { return !c.takesMediaType(mime) })
}

// takesMediaType reports whether a data: URL may have this MIME type.
func (c *Contract) takesMediaType(mime string) bool {
	return slices.ContainsFunc(c.MediaTypes, func(documented string) bool {
		class, any := strings.CutSuffix(documented, "*")
		return documented == mime || any && strings.HasPrefix(mime, class)
	})
}

// Explain says in a predicate why the contract cannot serve n, such as `does not
// take "seed"`. It is safe to show: of the client's own text it has numbers and plain words only.
func (c *Contract) Explain(l Lack, n *Needs) string {
	field := strconv.Quote(l.Param.String())
	switch l.kind {
	case lackRange:
		return fmt.Sprintf("does not take %s of %v", field, n.Numbers[l.Param])
	case lackStops:
		return fmt.Sprintf("takes at most %d stop sequences, not %d", c.MaxStops, n.Stops)
	}
	return "does not take " + field
}

// Unsupported says what becomes of harmless tuning fields that a provider does not document.
type Unsupported uint8

const (
	// UnsupportedSkip skips the provider.
	UnsupportedSkip Unsupported = iota
	// UnsupportedDrop leaves the field out, and says so in x-tollgate-dropped.
	UnsupportedDrop
)

// UnsupportedByName returns the value that config.yaml calls by this name.
func UnsupportedByName(name string) (Unsupported, bool) {
	switch name {
	case "skip":
		return UnsupportedSkip, true
	case "drop":
		return UnsupportedDrop, true
	}
	return UnsupportedSkip, false
}

// String returns the name used in config.yaml.
func (u Unsupported) String() string {
	if u == UnsupportedDrop {
		return "drop"
	}
	return "skip"
}

// Harmless are the tuning fields whose loss changes how an answer is worded, but
// neither its form, nor its length, nor what it costs.
func Harmless() ParamSet {
	return Params(ParamTemperature, ParamTopP, ParamTopK, ParamFrequencyPenalty, ParamPresencePenalty, ParamSeed)
}

// Lacks reports the first reason by which the provider cannot serve n, by its
// contract and by what is dropped for it.
func (p *Provider) Lacks(n *Needs) (Lack, bool) {
	if p.Unsupported != UnsupportedDrop {
		return p.Contract.Lacks(n)
	}
	without := *n
	without.Params &^= p.Contract.missing(n) & Harmless()
	return p.Contract.Lacks(&without)
}

// lacksEach returns every field that stands in the provider's way by itself.
func (p *Provider) lacksEach(n *Needs) ParamSet {
	var each ParamSet
	rest := *n
	for {
		lack, lacks := p.Lacks(&rest)
		if !lacks {
			return each
		}
		each = each.With(lack.Param)
		rest = rest.without(lack.Param)
	}
}

// without is the needs of a request that leaves a field out.
func (n Needs) without(p Param) Needs {
	n.Params = n.Params.Without(p)
	switch p {
	case ParamMessages:
		n.Media, n.MediaTypes, n.Roles, n.MessageFields, n.EmptyContent = 0, nil, 0, 0, false
	case ParamExtraBody:
		n.Extensions = 0
	case ParamTools:
		n.OtherTools = false
	case ParamStop:
		n.Stops = 0
	}
	return n
}

// MediaSet is a set of forms in which media parts come; the zero value is empty.
type MediaSet uint8

// The forms of media parts.
const (
	MediaHTTP       MediaSet = 1 << iota // image_url with an http or https address
	MediaData                            // image_url with a base64 data: URL
	MediaPlainData                       // image_url with a data: URL that is not base64
	MediaInputAudio                      // input_audio
	MediaOther                           // another address, or a part of another type
)

// MessageFieldSet is a set of fields of a message beside role and content.
type MessageFieldSet uint8

// The fields of a message that change the answer. All others are dropped for
// strict contracts, as at the top level.
const (
	FieldToolCalls MessageFieldSet = 1 << iota
	FieldToolCallID
	FieldFunctionCall
	FieldAudio
)

// ExtensionSet is a set of members of extra_body.
type ExtensionSet uint8

// The members of extra_body.
const (
	ExtensionCachedContent  ExtensionSet = 1 << iota // google.cached_content
	ExtensionThinkingConfig                          // google.thinking_config
	ExtensionOther                                   // any other
)
