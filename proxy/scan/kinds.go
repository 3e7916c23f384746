package scan

// Kind is the JSON type of a value.
type Kind uint8

// The kinds of JSON values.
const (
	Invalid Kind = iota // no JSON value begins like this
	Null
	Bool
	Number
	String
	Array
	Object
)

// kindOf tells the kind of a value from its first byte.
func kindOf(first byte) Kind {
	switch first {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return Number
	}
	return Invalid
}

// kinds is a set of kinds, one bit each.
type kinds uint8

const (
	orNull   = kinds(1 << Null)
	aBool    = kinds(1 << Bool)
	aNumber  = kinds(1 << Number)
	aString  = kinds(1 << String)
	anArray  = kinds(1 << Array)
	anObject = kinds(1 << Object)
	// anInteger narrows aNumber to numbers without fraction and exponent.
	anInteger = aNumber | 1<<7

	anything = orNull | aBool | aNumber | aString | anArray | anObject
)

func (k kinds) has(kind Kind) bool { return k&(1<<kind) != 0 }

// String lists the kinds as a message names them: "a string, an array or null".
func (k kinds) String() string {
	text := ""
	for kind := Object; kind > Invalid; kind-- {
		if !k.has(kind) {
			continue
		}
		switch k &^= 1 << kind; {
		case text == "":
		case k&anything == 0:
			text += " or "
		default:
			text += ", "
		}
		text += k.noun(kind)
	}
	return text
}

func (k kinds) noun(kind Kind) string {
	switch kind {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		if k&(anInteger&^aNumber) != 0 {
			return "an integer"
		}
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	default:
		return "an object"
	}
}
