package upstream

import (
	"slices"
	"strings"
)

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
	lackAnyContent
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
		if p, is := c.outside(r, n); is {
			return Lack{Param: p, kind: lackRange}, true
		}
	}
	for _, w := range c.Words {
		if n.Params.Has(w.Param) && !slices.Contains(w.List, n.word(w.Param)) {
			return Lack{Param: w.Param, kind: lackWord}, true
		}
	}
	switch {
	case n.Extensions&^c.Extensions != 0:
		return Lack{Param: ParamExtraBody, kind: lackExtension}, true
	case n.OtherTools && !c.OtherTools:
		return Lack{Param: ParamTools, kind: lackTool}, true
	case c.MaxStops > 0 && n.Stops > c.MaxStops:
		return Lack{Param: ParamStop, kind: lackStops}, true
	}
	return Lack{}, false
}

// outside returns the field by which the request asks for a number outside the
// range. The two names of the largest number of tokens mean the same, and each is
// sent as the other where the contract takes one only.
func (c *Contract) outside(r Range, n *Needs) (Param, bool) {
	if n.Params.Has(r.Param) && !r.takes(n.Numbers[r.Param]) {
		return r.Param, true
	}
	other, has := r.Param.Twin()
	return other, has && n.Params.Has(other) && !c.Takes(other) && !r.takes(n.Numbers[other])
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
	case n.MessageFields&^c.MessageFields != 0:
		lack.kind = lackMessageField
	case n.EmptyContent && !c.EmptyContent:
		lack.kind = lackContent
	case n.NoContent && (!c.Open || !c.EmptyContent):
		lack.kind = lackAnyContent
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
