package upstream

import "slices"

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

// Names returns config.yaml's names of the set's forms.
func (s MediaSet) Names() []string { return namesIn(s, mediaNames()) }

// mediaNames are config.yaml's names of the forms, in the order of their bits.
func mediaNames() []string {
	return []string{"http", "data", "plain_data", "input_audio", "other"}
}

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

// Names returns the names of the set's fields.
func (s MessageFieldSet) Names() []string { return namesIn(s, messageFieldNames()) }

// messageFieldNames are the fields' names, in the order of their bits.
func messageFieldNames() []string {
	return []string{"tool_calls", "tool_call_id", "function_call", "audio"}
}

// ExtensionSet is a set of members of extra_body.
type ExtensionSet uint8

// The members of extra_body.
const (
	ExtensionCachedContent  ExtensionSet = 1 << iota // google.cached_content
	ExtensionThinkingConfig                          // google.thinking_config
	ExtensionOther                                   // any other
)

// Names returns the names of the set's members.
func (s ExtensionSet) Names() []string { return namesIn(s, extensionNames()) }

// extensionNames are the members' names, in the order of their bits.
func extensionNames() []string {
	return []string{"google.cached_content", "google.thinking_config", "other"}
}

// namesIn are the names of a set's elements.
func namesIn[S ~uint8](s S, all []string) []string {
	var names []string
	for i, name := range all {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// setOf is the set of these elements. A name that is none of all is left out.
func setOf[S ~uint8](names, all []string) S {
	var s S
	for _, name := range names {
		if i := slices.Index(all, name); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// setOfAll is the set of every element.
func setOfAll[S ~uint8](all []string) S { return 1<<len(all) - 1 }
