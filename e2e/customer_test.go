package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

// customer is a client that asks once, and all that it has seen.
type customer struct {
	number int64 // its max_tokens, which no other has
	during string
	model  string
	stream bool
	usage  bool // it asks for the usage of a stream
	short  bool // its answer ends at the first of some common words
	leaves int  // after so many bytes of an answer; 0: never

	id     string
	status int
	kind   string
	got    []byte
	err    error
}

func (c *customer) String() string {
	return fmt.Sprintf("max_tokens %d, %s, %s, stream: %v, usage: %v, leaves after: %d, got %d and %d bytes: %v",
		c.number, c.id, c.model, c.stream, c.usage, c.leaves, c.status, len(c.got), c.err)
}

// newCustomer makes up what a customer wants.
func newCustomer(number int64, random *rand.Rand) *customer {
	models := append(publicModels(), "gemini-flash")
	c := &customer{
		number: number,
		model:  models[random.IntN(len(models))],
		stream: random.IntN(3) > 0,
		short:  random.IntN(4) > 0,
	}
	c.short = c.short && c.model != "gemini-3-pro-preview" // whose provider knows no such words
	c.usage = c.stream && random.IntN(2) == 0
	if random.IntN(8) == 0 {
		c.leaves = 1 + random.IntN(4<<10)
	}
	return c
}

func (c *customer) prompt() string {
	return fmt.Sprintf("What is kept when all is lost, %d?", c.number)
}

// body begins with the number: it is among the first that a provider gets.
func (c *customer) body() string {
	body := fmt.Sprintf(`{"max_tokens":%d,`, c.number) + question(c.model, c.prompt())[1:len(question(c.model, c.prompt()))-1]
	if c.stream {
		body += `,"stream":true`
	}
	if c.usage {
		body += `,"stream_options":{"include_usage":true}`
	}
	if c.short {
		body += `,"stop":[" s"]`
	}
	return body + "}"
}

// visit asks, and reads until the answer ends or the customer leaves.
func (c *customer) visit(ctx context.Context, b bare, secret string) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	// A reader of no kind that net/http knows: what was sent once is not sent again.
	body := io.MultiReader(strings.NewReader(c.body()))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/chat/completions", body)
	if err != nil {
		c.err = err
		return
	}
	r.ContentLength = int64(len(c.body()))
	r.Header.Set("Authorization", "Bearer "+secret)
	response, err := b.http.Do(r)
	if err != nil {
		c.err = err
		return
	}
	defer response.Body.Close()
	c.status, c.id, c.kind = response.StatusCode, response.Header.Get("X-Request-Id"), response.Header.Get("Content-Type")
	part := make([]byte, 8<<10)
	for {
		n, err := response.Body.Read(part)
		c.got = append(c.got, part[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			c.err = err
			return
		case c.leaves > 0 && len(c.got) >= c.leaves:
			c.err = errLeft
			return
		}
	}
}

// errLeft is the end of a customer who has had enough.
var errLeft = fmt.Errorf("the customer has left: %w", context.Canceled)

// whole reports whether the customer has an answer that lacks nothing: to a stream
// [DONE] says so, to a plain answer its length.
func (c *customer) whole() bool {
	switch {
	case c.status != http.StatusOK:
		return false
	case c.stream:
		return bytes.HasSuffix(c.got, []byte("data: [DONE]\n\n"))
	}
	return json.Valid(c.got) && bytes.HasPrefix(c.got, []byte("{"))
}

// chunk is what a customer reads of an answer, or of a part of it.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"`
	Usage *toldUsage `json:"usage"`
}

// toldUsage are the figures that came with an answer.
type toldUsage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// chunks are the events of a stream that came whole; a plain answer is one.
func (c *customer) chunks() (found []chunk) {
	events := []string{string(c.got)}
	if c.stream {
		events = strings.SplitAfter(string(c.got), "\n\n")
	}
	for _, e := range events {
		var one chunk
		if json.Unmarshal([]byte(strings.TrimPrefix(e, "data: ")), &one) == nil {
			found = append(found, one)
		}
	}
	return found
}

// text is what was said in a stream.
func (c *customer) text() string {
	var b strings.Builder
	for _, one := range c.chunks() {
		for _, choice := range one.Choices {
			b.WriteString(choice.Delta.Content)
		}
	}
	return b.String()
}

// told returns the last figures that the customer was told.
func (c *customer) told() (t toldUsage, ok bool) {
	for _, one := range c.chunks() {
		if one.Usage != nil {
			t, ok = *one.Usage, true
		}
	}
	return t, ok
}
