package upstream

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
	for r, known := range roleNames() {
		if known == name {
			return Role(r)
		}
	}
	return RoleOther
}

// roleNames are the names of the documented roles, in the order of their values.
func roleNames() []string {
	return []string{"system", "developer", "user", "assistant", "tool", "function"}
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

// Names returns the names of the set's documented roles.
func (s RoleSet) Names() []string { return namesIn(s, roleNames()) }
