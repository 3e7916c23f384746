package probe

import "tollgate/upstream"

// take notes that the provider takes a field.
func (s *session) take(p upstream.Param) {
	if s.observed.Takes(p) {
		return
	}
	s.observed.Denied = s.observed.Denied.Without(p)
	if s.observed.Open {
		return
	}
	s.observed.Params = s.observed.Params.With(p)
	if p == upstream.ParamExtraBody {
		s.observed.Extensions |= upstream.ExtensionThinkingConfig // the one that was tried
	}
}

// refuse notes that the provider does not take a field, or takes it to no effect.
func (s *session) refuse(p upstream.Param) {
	s.observed.Params = s.observed.Params.Without(p)
	if s.observed.Open {
		s.observed.Denied = s.observed.Denied.With(p)
	}
}

// limit notes the range of a number that the provider takes.
func (s *session) limit(r upstream.Range) {
	ranges := append([]upstream.Range(nil), s.observed.Ranges...) // the contract's own is not changed
	for i := range ranges {
		if ranges[i].Param == r.Param {
			ranges[i] = r
		}
	}
	s.observed.Ranges = ranges
}

// takesRole reports whether the contract knows the role, or leaves all open.
func takesRole(c *upstream.Contract, r upstream.Role) bool { return c.Roles == 0 || c.Roles.Has(r) }

func (s *session) takeRole(r upstream.Role) {
	if s.observed.Roles != 0 {
		s.observed.Roles = s.observed.Roles.With(r)
	}
	if r == upstream.RoleTool {
		s.observed.MessageFields |= upstream.FieldToolCalls | upstream.FieldToolCallID
		s.observed.EmptyContent = true
	}
}

func (s *session) refuseRole(r upstream.Role) {
	if s.observed.Roles == 0 { // any: from now on, any other
		for other := range upstream.RoleOther {
			s.observed.Roles = s.observed.Roles.With(other)
		}
	}
	s.observed.Roles = s.observed.Roles.Without(r)
}
