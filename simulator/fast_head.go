package simulator

import (
	"bytes"
	"net/http"
	"strconv"
)

// A fastHead is what fast mode needs to know of a request's head.
type fastHead struct {
	method, path string
	length       int64 // of the body; 0 when nothing tells
	chunked      bool  // the transfer coding tells the length
	close        bool  // no further request comes over this connection
	waits        bool  // the body comes after a 100 (Continue)

	hosts, lengths int // how often the fields stand there that may do so once
}

// parseFastHead reads a head up to the empty line, which is not part of it. It
// takes less than RFC 9112 allows, and nothing that two readers could
// understand differently.
func parseFastHead(raw []byte) (fastHead, *Refusal) {
	var h fastHead
	line, rest := cutLine(raw)
	method, target, _ := bytes.Cut(line, []byte(" "))
	path, version, _ := bytes.Cut(target, []byte(" "))
	if !isToken(method) || !isPath(path) || string(version) != "HTTP/1.1" {
		return h, malformed("request line")
	}
	h.method, h.path = string(method), string(path)
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.Trim(value, " \t")
		if len(name) == len(line) || !isToken(name) || !isValue(value) {
			return h, malformed("header")
		}
		if !h.learn(name, value) {
			return h, malformed("field " + string(name))
		}
	}
	if h.hosts != 1 {
		return h, malformed("field Host")
	}
	return h, nil
}

// learn takes in a field and reports whether it makes sense. The body's length
// is told once, in one way.
func (h *fastHead) learn(name, value []byte) bool {
	switch {
	case equalFold(name, "Host"):
		h.hosts++
	case equalFold(name, "Content-Length"):
		n, err := strconv.ParseUint(string(value), 10, 62)
		h.length = int64(n)
		h.lengths++
		return err == nil && h.lengths == 1
	case equalFold(name, "Transfer-Encoding"):
		h.chunked = equalFold(value, "chunked")
		h.lengths++
		return h.chunked && h.lengths == 1
	case equalFold(name, "Trailer"):
		// What RFC 9110, section 6.5.1, forbids behind a body could tell the length anew.
		for field := range bytes.SplitSeq(value, []byte(",")) {
			field = bytes.Trim(field, " \t")
			if equalFold(field, "Content-Length") || equalFold(field, "Transfer-Encoding") || equalFold(field, "Trailer") {
				return false
			}
		}
	case equalFold(name, "Connection"):
		for option := range bytes.SplitSeq(value, []byte(",")) {
			h.close = h.close || equalFold(bytes.Trim(option, " \t"), "close")
		}
	case equalFold(name, "Expect"):
		h.waits = equalFold(value, "100-continue")
		return h.waits
	}
	return true
}

func malformed(what string) *Refusal {
	return invalid(http.StatusBadRequest, "", "invalid_request_head", "The "+what+" of the request is not well-formed.")
}

// cutLine cuts behind the first CR LF; what has none is the last line.
func cutLine(raw []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(raw, []byte("\r\n"))
	return line, rest
}

// equalFold is true of ASCII names that differ in case at most.
func equalFold(a []byte, b string) bool { return len(a) == len(b) && bytes.EqualFold(a, []byte(b)) }

// isToken: RFC 9110, section 5.6.2.
func isToken(text []byte) bool {
	for _, b := range text {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && (b < '0' || b > '9') && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), b) < 0 {
			return false
		}
	}
	return len(text) > 0
}

func isPath(text []byte) bool {
	for _, b := range text {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return len(text) > 0 && text[0] == '/'
}

func isValue(text []byte) bool {
	for _, b := range text {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}
