package e2e

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKeepAliveComments reads a stream as curl -N does while its provider says
// nothing: there are comments between events and nowhere else, and without them
// every byte is the provider's.
func TestKeepAliveComments(t *testing.T) {
	t.Parallel()
	const every = 100 * time.Millisecond
	comment := []byte(": keep-alive\n\n")
	p := newPuppet(t)
	f := newFleet(t, environment{"FOURTH": p.url, "KEEPALIVE_COMMENT": every.String()})
	key := f.issue(t)
	read := func(t *testing.T, ends string) {
		t.Helper()
		ended := func(text string) string { return strings.ReplaceAll(text, "\n", ends) }
		part, body := p.expect(t.Name()), inStream(question("fourth", t.Name()))
		w := f.dial(t)
		w.write(t, completion(key.Secret, body))
		happens(t, "the stream", part.asked)
		first, second, last := ended(word("Hold")), ended(word(strings.Repeat(" the line", 20_000))), ended(lastWords) // an event so long is passed on in pieces
		part.say <- first
		response := w.head(t, http.MethodPost)
		defer response.Body.Close()
		var got []byte
		silentFor := func(comments int) {
			for upTo := bytes.Count(got, comment) + comments; bytes.Count(got, comment) < upTo; {
				piece := make([]byte, 1<<10)
				n, err := response.Body.Read(piece)
				if got = append(got, piece[:n]...); err != nil {
					t.Fatalf("%.300q, %v", got, err)
				}
			}
		}
		silentFor(3)
		part.say <- second[:len(second)/2]
		<-time.After(5 * every) // a comment would be due, but there is no place for one
		part.say <- second[len(second)/2:]
		silentFor(2)
		part.end(last)
		rest, err := io.ReadAll(response.Body)
		pieces := bytes.Split(append(got, rest...), comment)
		if all := bytes.Join(pieces, nil); string(all) != first+second+last || err != nil {
			t.Errorf("without its comments the stream is no longer the provider's: %.300q, %v", all, err)
		}
		for _, piece := range pieces[:len(pieces)-1] {
			if text := string(piece); text != "" && !strings.HasSuffix(text, "\n\n") && !strings.HasSuffix(strings.TrimSuffix(text, "\n"), "\r\n\r") {
				t.Errorf("a comment stands behind %q", text[max(0, len(text)-100):])
			}
		}
	}
	for name, ends := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read(t, ends)
		})
	}
}
