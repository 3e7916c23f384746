package scan

import "strings"

// Roles is a set of message roles.
type Roles uint8

// The roles of the chat completions API. RoleOther stands for any other string.
const (
	RoleSystem Roles = 1 << iota
	RoleDeveloper
	RoleUser
	RoleAssistant
	RoleTool
	RoleFunction
	RoleOther
)

// Has says whether every role of the given set is in r.
func (r Roles) Has(roles Roles) bool { return r&roles == roles }

// String lists the roles, separated by commas.
func (r Roles) String() string {
	var names []string
	for role := RoleSystem; role <= RoleOther; role <<= 1 {
		if r.Has(role) {
			names = append(names, role.name())
		}
	}
	return strings.Join(names, ",")
}

func (r Roles) name() string {
	switch r {
	case RoleSystem:
		return "system"
	case RoleDeveloper:
		return "developer"
	case RoleUser:
		return "user"
	case RoleAssistant:
		return "assistant"
	case RoleTool:
		return "tool"
	case RoleFunction:
		return "function"
	default:
		return "other"
	}
}

// roleOf finds a role by its name.
func roleOf(name []byte) Roles {
	for role := RoleSystem; role < RoleOther; role <<= 1 {
		if role.name() == string(name) {
			return role
		}
	}
	return RoleOther
}
