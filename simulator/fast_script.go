package simulator

import (
	"fmt"
	"strconv"
	"time"
)

// fastPrompt is the number of prompt tokens in every usage: prompts are not read.
const fastPrompt = 32

// A script is what fast mode says, made once. It is never changed.
type script struct {
	contract *contract
	created  int64
	pieces   []string // fastMaxTokens of them
	tokens   int      // of an answer that nothing cuts

	plain  []byte   // the whole answer, head and all, that nothing cuts
	frames [][]byte // the chunks of the transfer coding: the role's event, then the pieces'
}

const (
	plainHead  = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	streamHead = "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
	closeField = "Connection: close\r\n"
	lastChunk  = "0\r\n\r\n"
)

func newScript(o FastOptions, now time.Time) *script {
	c := contractOf(StarMagic, Deviations{})
	q := &ask{model: c.models[0]}
	text := sentences("", diceFor(o.Seed, StarMagic, q, 0), func(words, _ int) bool { return words >= fastMaxTokens })
	s := &script{contract: c, created: now.Unix(), pieces: wordsOf(text), tokens: o.Tokens}
	s.plain = s.appendPlain(nil, wish{}, s.answer(wish{}))
	a := s.answer(wish{maxTokens: fastMaxTokens})
	s.frames = append(s.frames, frame(s.chunk(a, chunkChoice{Delta: delta{Role: "assistant", Content: new(string)}})))
	for n := range s.pieces {
		s.frames = append(s.frames, frame(s.chunk(a, a.pieceOf(0, n))))
	}
	return s
}

// answer is the Simulator's own, so that its shape is, too.
func (s *script) answer(w wish) *answer {
	length, finish := s.tokens, "stop"
	if w.maxTokens > 0 {
		length = int(min(w.maxTokens, fastMaxTokens))
		if w.maxTokens <= fastMaxTokens {
			finish = "length"
		}
	}
	return &answer{
		id:      s.contract.id,
		model:   s.contract.models[0],
		created: s.created,
		choices: []choice{{pieces: s.pieces[:length], finish: finish}},
		usage:   Usage{Prompt: fastPrompt, Completion: int64(length)},
		ask:     &ask{},
		tell:    func(u Usage) any { return s.contract.usage(u, Figures("").of(u)) },
	}
}

// appendPlain appends a plain answer with its head.
func (s *script) appendPlain(out []byte, w wish, a *answer) []byte {
	body := encode(s.contract.plain(a))
	out = append(out, plainHead...)
	if w.close {
		out = append(out, closeField...)
	}
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	return append(out, body...)
}

func appendStreamHead(out []byte, w wish) []byte {
	out = append(out, streamHead...)
	if w.close {
		out = append(out, closeField...)
	}
	return append(out, "\r\n"...)
}

// tail are the events after the pieces; the last one ends the transfer coding.
func (s *script) tail(w wish, a *answer) [][]byte {
	events := [][]byte{frame(s.chunk(a, chunkChoice{FinishReason: &a.choices[0].finish}))}
	if w.includeUsage {
		events = append(events, frame(encode(s.contract.event(a, []chunkChoice{}, a.report(a.usage)))))
	}
	return append(events, append(frame([]byte("[DONE]")), lastChunk...))
}

func (s *script) chunk(a *answer, c chunkChoice) []byte {
	return encode(s.contract.event(a, []chunkChoice{c}, nil))
}

// frame is a server-sent event as one chunk of the transfer coding.
func frame(data []byte) []byte {
	size := len("data: ") + len(data) + len("\n\n")
	return fmt.Appendf(nil, "%x\r\ndata: %s\n\n\r\n", size, data)
}
