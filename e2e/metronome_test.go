package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// metronome is a provider whose streams say one word at each tick: when that
// was. It is the model `fourth` of a gateway whose environment has its URL as FOURTH.
type metronome struct {
	url   string
	ticks atomic.Int64 // of the streams that begin from now on
	gap   time.Duration
	epoch time.Time // what is said is the time since then

	begun, ended atomic.Int64 // streams
}

// newMetronome starts one. It must be there before the gateway, so that it ends after it.
func newMetronome(t *testing.T, gap time.Duration) *metronome {
	t.Helper()
	m := &metronome{gap: gap, epoch: time.Now()}
	server := httptest.NewServer(http.HandlerFunc(m.play))
	t.Cleanup(server.Close)
	m.url = server.URL + "/v1"
	return m
}

func (m *metronome) play(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // what is asked does not matter
	m.begun.Add(1)
	defer m.ended.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(m.gap)
	defer tick.Stop()
	for range m.ticks.Load() {
		_, _ = io.WriteString(w, word(strconv.FormatInt(int64(time.Since(m.epoch)), 10)))
		_ = control.Flush() // who has left is noticed below
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, lastWords)
}

// beat is one tick as it reached a client.
type beat struct {
	said  time.Duration // by the metronome, since its epoch
	after time.Duration // how much later it was there
}

// heardBeats is a stream of ticks as it reached a client.
type heardBeats struct {
	beats  []beat
	merged int // ticks that shared a write with one long before them
	err    error
}

// listen asks for a stream and reads it to its end, write by write: each is a
// chunk of the transfer coding, whatever the sockets in between make of it.
func (m *metronome) listen(ctx context.Context, address, text string) (h heardBeats) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return heardBeats{err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, text); err != nil {
		return heardBeats{err: err}
	}
	ticks := int(m.ticks.Load())
	h.beats = make([]beat, 0, ticks)
	in := bufio.NewReader(conn)
	if h.err = readHead(in); h.err != nil {
		return h
	}
	var chunk []byte
	for last := ""; ; last = string(chunk) {
		if chunk, h.err = readChunk(in, chunk); h.err != nil {
			return h
		}
		if len(chunk) == 0 {
			if !strings.HasSuffix(last, "data: [DONE]\n\n") || len(h.beats) != ticks {
				h.err = fmt.Errorf("the stream has %d ticks and ends with %q", len(h.beats), last)
			}
			return h
		}
		h.take(chunk, time.Since(m.epoch))
	}
}

// take notes the ticks of one write.
func (h *heardBeats) take(chunk []byte, now time.Duration) {
	const long = 20 * time.Millisecond
	first := true
	for event := range bytes.SplitSeq(chunk, []byte("\n\n")) {
		_, rest, found := bytes.Cut(event, []byte(`"content":"`))
		digits, _, _ := bytes.Cut(rest, []byte(`"`))
		said, err := strconv.ParseInt(string(digits), 10, 64)
		if !found || err != nil {
			continue
		}
		b := beat{time.Duration(said), now - time.Duration(said)}
		if !first && b.said-h.beats[len(h.beats)-1].said > long {
			h.merged++
		}
		first = false
		h.beats = append(h.beats, b)
	}
}

// readHead reads the head of an answer, which must be a stream.
func readHead(in *bufio.Reader) error {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		switch {
		case err != nil:
			return fmt.Errorf("%w in a head: %s", err, head.String())
		case line != "\r\n":
		case strings.HasPrefix(head.String(), "HTTP/1.1 200 ") && strings.Contains(head.String(), "Transfer-Encoding: chunked"):
			return nil
		default:
			return errors.New(head.String())
		}
	}
}

// readChunk reads one chunk into memory that it may use again. The last one is empty.
func readChunk(in *bufio.Reader, memory []byte) ([]byte, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 20)
	if err != nil {
		return nil, err
	}
	if uint64(cap(memory)) < size+2 {
		memory = make([]byte, size+2)
	}
	memory = memory[:size+2]
	if _, err := io.ReadFull(in, memory); err != nil {
		return nil, err
	}
	return memory[:size], nil
}
