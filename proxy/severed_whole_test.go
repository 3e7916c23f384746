package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"tollgate/keys"
)

// TestSeveredBeforeDone lets an answer pass whose end is in memory when its key is
// severed, and nothing else.
func TestSeveredBeforeDone(t *testing.T) {
	const (
		done  = "data: [DONE]\n\n"
		usage = `data: {"id":"s1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	)
	text, _, _ := strings.Cut(someStream, usage)
	unfinished := text[:strings.Index(text, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish`)]
	r := newRig(t, legFunc(nil), rigOptions{})
	f := func(name, before, after, want string) {
		t.Helper()
		key, _ := r.issue(keys.Spec{})
		x := &exchange{gateway: r.gateway, conn: connectionOf(&discardConn{}), accepted: time.Now(), model: mustModel(r), settled: true, watch: r.keys.Cuts().Watch(key.ID)}
		x.record.Stream = true
		s := relayedServing(r.gateway, nil)
		defer s.alarm.stop()
		var got strings.Builder
		end := relay{x: x, s: s, client: newClient(x, &got)}
		defer end.client.close()
		pass := func(text string) bool {
			_, err := s.framer.Fill(strings.NewReader(text))
			must(t, err)
			over, _ := end.forwardEvents()
			return over
		}
		if pass(before) {
			t.Errorf("%s: over after %q", name, got.String())
		}
		_, err := r.keys.By("test").Revoke(context.Background(), key.ID, keys.AtOnce)
		must(t, err)
		if over := pass(after); !over || got.String() != before+want {
			t.Errorf("%s: over is %t after\n%s\nwant\n%s", name, over, got.String(), before+want)
		}
	}
	f("the end alone", text, done, done)
	f("figures and the end", text, usage+done, usage+done)
	f("the end after a comment", text, ": bye\r\n\r\ndata:[DONE]\r\n\r\n", ": bye\r\n\r\ndata:[DONE]\r\n\r\n")
	f("figures, and an end that is not there yet", text, usage, revokedEvent)
	f("content, and an end that is not there yet", unfinished, oneWord, revokedEvent)
	f("an end of what has not ended", unfinished, done, revokedEvent)
}
