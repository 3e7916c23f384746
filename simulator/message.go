package simulator

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// message accepts a message of one of these roles. Where there are tools to
// answer for, it is StarMagic's; elsewhere it has role and content and nothing else.
func message(roles []string, media mediaTerms) rule {
	if slices.Contains(roles, "tool") {
		return messageWithTools(roles, media)
	}
	return object(
		required("role", oneOf(roles...)),
		required("content", content(media)),
	)
}

func messageWithTools(roles []string, media mediaTerms) rule {
	fields := object(
		required("role", oneOf(roles...)),
		optional("content", nullable(content(media))),
		optional("tool_call_id", text),
		optional("tool_calls", list(1, object(
			required("id", text),
			required("type", oneOf("function")),
			required("function", object(required("name", text), required("arguments", text))),
		))),
	)
	return all(fields, func(at string, v any) *Refusal {
		message := v.(members)
		_, speaks := message["content"]
		_, calls := message["tool_calls"]
		_, answers := message["tool_call_id"]
		switch {
		case calls && message["role"] != "assistant":
			return invalidValue(join(at, "tool_calls"), "only an assistant calls tools")
		case !speaks && !calls:
			return missing(join(at, "content"))
		case message["role"] == "tool" && !answers:
			return missing(join(at, "tool_call_id"))
		}
		return nil
	})
}

// content accepts a message's text, or an array of text parts and of parts in
// the form image_url, which the pages use for every kind of media.
func content(media mediaTerms) rule {
	parts := list(1, part(media))
	return func(at string, v any) *Refusal {
		switch v.(type) {
		case string:
			return nil
		case []any:
			return parts(at, v)
		}
		return wrongType(at, "a string or an array of parts", v)
	}
}

func part(media mediaTerms) rule {
	kind := oneOf("text", "image_url")
	if media.none {
		kind = oneOf("text")
	}
	textPart := object(required("type", kind), required("text", text))
	mediaPart := object(required("type", kind), required("image_url", object(required("url", media.address))))
	return func(at string, v any) *Refusal {
		found, ok := v.(members)
		if !ok {
			return wrongType(at, "an object", v)
		}
		if t, present := found["type"]; present {
			if bad := kind(join(at, "type"), t); bad != nil {
				return bad
			}
		}
		if found["type"] == "image_url" {
			return mediaPart(at, v)
		}
		return textPart(at, v)
	}
}

// mediaTerms are what a provider takes as media.
type mediaTerms struct {
	none  bool     // text only
	web   bool     // addresses on the web, besides data: URLs
	types []string // of data: URLs; empty: any image, where the page names no formats
}

// address accepts a data: URL of such a type, or an address on the web where those are taken.
func (m mediaTerms) address(at string, v any) *Refusal {
	s, ok := v.(string)
	switch {
	case !ok:
		return wrongType(at, "a string", v)
	case onTheWeb(s) && m.web:
		return nil
	case onTheWeb(s):
		return invalidValue(at, "media are taken as base64 data: URLs only, not by http or https address")
	}
	found, err := parseDataURL(s)
	switch {
	case err != nil:
		return invalidValue(at, err.Error())
	case len(m.types) == 0 && found.kind() != "image":
		return invalidValue(at, fmt.Sprintf("'%s' is not an image", found.mime))
	case len(m.types) > 0 && !slices.Contains(m.types, found.mime):
		return invalidValue(at, fmt.Sprintf("the media type '%s' is not supported", found.mime))
	}
	return nil
}

// media is one received image, sound or film.
type media struct {
	mime  string // empty for an address on the web
	bytes int64
}

// kind is the first half of the media type: image, audio or video.
func (m media) kind() string {
	if m.mime == "" {
		return "image"
	}
	kind, _, typed := strings.Cut(m.mime, "/")
	if !typed {
		return "" // no media type: RFC 2045, section 5.1
	}
	return kind
}

func onTheWeb(address string) bool {
	lower := strings.ToLower(address[:min(len(address), len("https://"))])
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// parseDataURL reads data:TYPE;base64,DATA and measures the decoded data. The
// scheme, the type and the word base64 have no case (RFC 3986, 2045, 2397); a
// URL without a type holds text, says RFC 2397. Its errors never repeat the
// address, which may be a whole film.
func parseDataURL(address string) (media, error) {
	head, data, found := strings.Cut(address, ",")
	head, isData := strings.CutPrefix(strings.ToLower(head), "data:")
	head, isBase64 := strings.CutSuffix(head, ";base64")
	if !found || !isData || !isBase64 {
		return media{}, errors.New("expected a base64 data: URL")
	}
	mime, _, _ := strings.Cut(head, ";")
	size, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
	if err != nil || size == 0 {
		return media{}, errors.New("the data: URL holds no valid base64")
	}
	return media{mime: cmp.Or(mime, "text/plain"), bytes: size}, nil
}
