package upstream

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Explain says in a predicate why the contract cannot serve n, such as `does not
// take "seed"`. It is safe to show: of the client's own text it has numbers, and
// words and MIME types that look like such.
func (c *Contract) Explain(l Lack, n *Needs) string {
	field := strconv.Quote(l.Param.String())
	switch l.kind {
	case lackRange:
		r := c.numberRange(l.Param)
		if !c.Takes(l.Param) {
			twin, _ := l.Param.Twin()
			r = c.numberRange(twin)
		}
		r.Param = l.Param // by the name that the client used
		return r.predicate(n.Numbers[l.Param])
	case lackWord:
		return fmt.Sprintf("takes %s of %s, not %s", field, either(c.words(l.Param)), shown(n.word(l.Param)))
	case lackExtension:
		return "does not take " + oneExtension(n.Extensions&^c.Extensions) + " in " + field
	case lackTool:
		return "takes functions only in " + field
	case lackStops:
		return fmt.Sprintf("takes at most %s, not %d", plural(c.MaxStops, "stop sequence"), n.Stops)
	}
	return c.explainMessage(l, n, field)
}

// explainMessage explains what is lacking of the messages, or a field as a whole.
func (c *Contract) explainMessage(l Lack, n *Needs, field string) string {
	switch l.kind {
	case lackMediaForm:
		return "takes no " + mediaForm(n.Media&^c.Media)
	case lackMediaType:
		return "does not take media " + ofType(n.MediaTypes[l.index])
	case lackRole:
		return "does not take messages of " + roleIn(c.spoken(n.Roles)&^c.Roles)
	case lackMessageField:
		return "does not take " + strconv.Quote((n.MessageFields &^ c.MessageFields).Names()[0]) + " in messages"
	case lackContent:
		return "does not take messages without content"
	case lackAnyContent:
		return "takes no message without content"
	}
	return "does not take " + field
}

// words are the documented values of a field.
func (c *Contract) words(p Param) []string {
	for _, w := range c.Words {
		if w.Param == p {
			return w.List
		}
	}
	return nil
}

// oneExtension names the first member of a set that is not empty.
func oneExtension(s ExtensionSet) string {
	if s == ExtensionOther {
		return "another member"
	}
	return strconv.Quote(s.Names()[0])
}

// mediaForm describes the first form of a set that is not empty.
func mediaForm(s MediaSet) string {
	switch s & -s {
	case MediaHTTP:
		return "media by http or https address"
	case MediaData:
		return "media as base64 data: URLs"
	case MediaPlainData:
		return "media as data: URLs that are not base64"
	case MediaInputAudio:
		return "media as input_audio"
	}
	return "media in another form"
}

// ofType describes a MIME type, as far as it looks like one.
func ofType(mime string) string {
	switch {
	case mime == "":
		return "without a type"
	case !plainType.MatchString(mime):
		return "of another type"
	}
	return "of type " + mime
}

// roleIn names the first role of a set that is not empty.
func roleIn(s RoleSet) string {
	if names := s.Names(); len(names) > 0 {
		return "the role " + names[0]
	}
	return "another role"
}

// plainType is what a MIME type of a request must look like to be shown to others.
var plainType = regexp.MustCompile(`^[A-Za-z0-9][\w./+-]{0,63}$`)

// plainWord is what the scan keeps of a word of a request, and what may be shown to
// others; every other word is empty to contracts.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// shown is the word, if it is one.
func shown(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "another"
}

// either lists what may be: "none, low or high".
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// plural counts things: "1 stop sequence", "4 stop sequences".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}
