package usage

import "bytes"

const (
	// usualMembers is room for the members of an honest usage object, so that reading one allocates nothing.
	usualMembers = 16
	// maxMembers bounds the search for names that stand twice.
	maxMembers = 128
)

// member is a name of a JSON object, unescaped, and its value, still JSON.
type member struct{ name, value []byte }

// object is one level of a usage object.
type object []member

// readObject splits a well-formed JSON object, and refuses a name that stands twice:
// what it says would depend on who reads it. null, and the empty array that some
// languages write for an empty object, are an object without members. The members
// point into raw; space is memory for them.
func readObject(name string, raw []byte, space object) (object, error) {
	s := skipSpace(raw)
	if s[0] != '{' {
		if s[0] == 'n' || s[0] == '[' && skipSpace(s[1:])[0] == ']' {
			return nil, nil
		}
		return nil, insane("%s is not an object", name)
	}
	members := space
	for s = skipSpace(s[1:]); s[0] != '}'; s = skipSpace(s) {
		if s[0] == ',' {
			s = skipSpace(s[1:])
		}
		quoted := s[:valueLen(s)]
		s = skipSpace(s[len(quoted):])
		s = skipSpace(s[1:]) // the colon
		m := member{name: quoted[1 : len(quoted)-1], value: s[:valueLen(s)]}
		s = s[len(m.value):]
		if bytes.IndexByte(m.name, '\\') >= 0 {
			m.name = unescape(nil, m.name)
		}
		if members.value(string(m.name)) != nil {
			return nil, insane("%s has a name twice", name)
		}
		if len(members) == maxMembers {
			return nil, insane("%s has more than %d names", name, maxMembers)
		}
		members = append(members, m)
	}
	return members, nil
}

// value is the JSON under a name; nil when it is not there.
func (o object) value(name string) []byte {
	for _, m := range o {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// figure reads a whole number from 0 to 2^31-1; null is absent.
func (o object) figure(name string) (value int64, present bool, err error) {
	raw := o.value(name)
	if raw == nil || raw[0] == 'n' {
		return 0, false, nil
	}
	if raw[0] == '-' {
		return 0, true, insane("%s is negative", name)
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, true, insane("%s is not a whole number", name)
		}
		if value = value*10 + int64(c-'0'); value >= tokenLimit {
			return 0, true, insane("%s is 2^31 or more", name)
		}
	}
	return value, true, nil
}

func skipSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

// valueLen is the length of the value that well-formed JSON goes on with.
func valueLen(s []byte) int {
	switch s[0] {
	case '"':
		return stringLen(s)
	case '{', '[':
		return nestedLen(s)
	}
	if end := bytes.IndexAny(s, ",]} \t\r\n"); end >= 0 {
		return end
	}
	return len(s)
}

func stringLen(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

func nestedLen(s []byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += stringLen(s[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
