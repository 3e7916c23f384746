package scan

import "bytes"

// MediaKind is the type of a content part that is not text.
type MediaKind uint8

// The content parts that carry media.
const (
	OtherPart  MediaKind = iota // a type this package does not know; only its presence is noted
	ImageURL                    // {"type":"image_url","image_url":{"url":...}}: images, and with some providers audio and video
	InputAudio                  // {"type":"input_audio","input_audio":{"data":...,"format":...}}
)

// Media is one content part that is not text.
type Media struct {
	Kind MediaKind
	// URL is the raw string content, without quotes and still escaped, of
	// image_url.url or input_audio.data; empty for OtherPart.
	URL Span
	// HTTP says that the URL has the scheme http or https.
	HTTP bool
	// Base64 says that the medium itself stands in the body, in base64: an
	// input_audio part, or a data: URL that says so.
	Base64 bool
	// MIME is the media type of a data: URL, or "audio/" and the format of an
	// input_audio part, in lower case; empty for any other URL.
	MIME string
}

func (d *Document) addMedia(m Media, start int) *Error {
	if len(d.Media) == MaxMedia {
		return &Error{Code: CodeInvalidValue, Offset: start, Reason: "is one of more than 4096 that are not text"}
	}
	d.Media = append(d.Media, m)
	return nil
}

func (d *Document) readImageURL(l *lexer) *Error {
	start := l.at
	keys := keys{in: inImageURL}
	var url Span
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
		case found == keyURL:
			url, err = l.wantString("url")
		default:
			err = d.readLoose(l, LooseImageMember, key)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !keys.has(keyURL):
		return missing("url", start)
	}
	m := Media{Kind: ImageURL, URL: url}
	m.readURL(d.slice(url))
	return d.addMedia(m, start)
}

func (d *Document) readInputAudio(l *lexer) *Error {
	start := l.at
	keys := keys{in: inInputAudio}
	var data, format Span
	err := l.object(func(key Span) *Error {
		found, err := keys.take(l, key)
		switch {
		case err != nil:
		case found == keyData:
			data, err = l.wantString("data")
		case found == keyFormat:
			format, err = l.wantString("format")
		default:
			_, err = l.value()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !keys.has(keyData):
		return missing("data", start)
	case !keys.has(keyFormat):
		return missing("format", start)
	}
	var buf wordBuf
	var mime [len(buf) + len("audio/")]byte
	name := append(append(mime[:0], "audio/"...), d.word(&buf, format)...)
	return d.addMedia(Media{Kind: InputAudio, URL: data, Base64: true, MIME: mimeType(lower(name))}, start)
}

// readURL tells what a URL says before its data; raw is the URL's escaped form.
// Schemes and media types are short: one that has not ended within the first
// bytes is none.
func (m *Media) readURL(raw []byte) {
	var buf [256]byte
	head := lower(appendUnescaped(buf[:0], raw[:min(len(raw), len(buf))]))
	scheme, rest, _ := bytes.Cut(head, []byte(":"))
	switch string(scheme) {
	case "http", "https":
		m.HTTP = true
	case "data":
		if prefix, _, found := bytes.Cut(rest, []byte(",")); found {
			mime, _, _ := bytes.Cut(prefix, []byte(";"))
			m.MIME = mimeType(mime)
			m.Base64 = bytes.HasSuffix(prefix, []byte(";base64"))
		}
	}
}

// lower turns the ASCII letters of b to lower case in place.
func lower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// mimeType is string(mime) without an allocation for the types that occur.
func mimeType(mime []byte) string {
	for _, known := range [...]string{
		"image/png", "image/jpeg", "image/webp", "image/gif", "image/heic", "image/heif",
		"audio/wav", "audio/mp3", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac",
		"video/mp4", "video/mpeg", "video/mov", "video/avi", "video/x-flv", "video/mpg",
		"video/webm", "video/wmv", "video/3gpp",
	} {
		if string(mime) == known {
			return known
		}
	}
	return string(mime)
}
