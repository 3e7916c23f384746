package simulator

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// content accepts a message's text, or an array of text parts and of parts in
// the form image_url, which the pages use for every kind of media.
func content(address rule) rule {
	parts := list(1, part(address))
	return func(at string, v any) *refusal {
		switch v.(type) {
		case string:
			return nil
		case []any:
			return parts(at, v)
		}
		return wrongType(at, "a string or an array of parts", v)
	}
}

func part(address rule) rule {
	kind := oneOf("text", "image_url")
	textPart := object(required("type", kind), required("text", text))
	mediaPart := object(required("type", kind), required("image_url", object(required("url", address))))
	return func(at string, v any) *refusal {
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

// imageAddress accepts the address of an image on the web, or a data: URL that
// holds one: StarMagic and Evolink speak of images and name no formats.
func imageAddress(at string, v any) *refusal {
	s, ok := v.(string)
	switch {
	case !ok:
		return wrongType(at, "a string", v)
	case onTheWeb(s):
		return nil
	}
	found, err := parseDataURL(s)
	if err != nil {
		return invalidValue(at, err.Error())
	}
	if found.kind() != "image" {
		return invalidValue(at, fmt.Sprintf("'%s' is not an image", found.mime))
	}
	return nil
}

// dataURLOf accepts data: URLs of the listed types only.
func dataURLOf(types []string) rule {
	return func(at string, v any) *refusal {
		s, ok := v.(string)
		switch {
		case !ok:
			return wrongType(at, "a string", v)
		case onTheWeb(s):
			return invalidValue(at, "media are taken as base64 data: URLs only, not by http or https address")
		}
		found, err := parseDataURL(s)
		if err != nil {
			return invalidValue(at, err.Error())
		}
		if !slices.Contains(types, found.mime) {
			return invalidValue(at, fmt.Sprintf("the media type '%s' is not supported", found.mime))
		}
		return nil
	}
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
	kind, _, _ := strings.Cut(m.mime, "/")
	return kind
}

func onTheWeb(address string) bool {
	lower := strings.ToLower(address[:min(len(address), len("https://"))])
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// parseDataURL reads data:TYPE;base64,DATA and measures the decoded data. Its
// errors never repeat the address, which may be a whole film.
func parseDataURL(address string) (media, error) {
	head, data, ok := strings.Cut(address, ",")
	if !ok || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return media{}, errors.New("expected a base64 data: URL")
	}
	mime, _, _ := strings.Cut(strings.TrimPrefix(head, "data:"), ";")
	size, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)))
	if err != nil || size == 0 {
		return media{}, errors.New("the data: URL holds no valid base64")
	}
	return media{mime: strings.ToLower(mime), bytes: size}, nil
}
