package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Tokens is what an answer used. Cached tokens are inside Prompt and reasoning
// tokens inside Completion; Image and Audio are inside their sum. Never add them again.
type Tokens struct {
	Prompt     int64 `json:"prompt_tokens"`
	Cached     int64 `json:"cached_tokens"`
	Completion int64 `json:"completion_tokens"`
	Reasoning  int64 `json:"reasoning_tokens"`
	Image      int64 `json:"image_tokens"`
	Audio      int64 `json:"audio_tokens"`
}

// tokenLimit is above any figure that an answer can have: 2^31.
const tokenLimit = 1 << 31

// maxUsageBytes is far above any honest usage object (the providers document about 400 bytes).
const maxUsageBytes = 16 << 10

// ErrNoUsage says that a usage object reports nothing: it is empty, null, or names
// neither prompt nor completion tokens. That is unknown usage, not zero usage.
var ErrNoUsage = errors.New("the usage object holds no token figures")

// ErrInsane is what every *InsaneError is, for errors.Is.
var ErrInsane = errors.New("insane usage")

// InsaneError says why reported figures cannot be true. Its text names fields and
// never repeats their values: those are whatever the provider sent.
type InsaneError struct{ Reason string }

// Error implements error.
func (e *InsaneError) Error() string { return ErrInsane.Error() + ": " + e.Reason }

// Unwrap makes errors.Is(err, ErrInsane) true.
func (e *InsaneError) Unwrap() error { return ErrInsane }

func insane(format string, args ...any) error {
	return &InsaneError{Reason: fmt.Sprintf(format, args...)}
}

// ParseTokens reads a provider's usage object in the shape of OpenAI's chat
// completions. prompt_tokens and completion_tokens win; input_tokens and
// output_tokens count only where both of those are absent, because two providers
// send them as zeros beside the truth. Figures are integers from 0 to 2^31-1,
// parts are at most their whole, and total_tokens, when present, is the sum.
//
// The error is ErrNoUsage where nothing is reported and an *InsaneError where the
// figures cannot be true. ParseTokens never panics and never returns a negative figure.
func ParseTokens(raw []byte) (Tokens, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return Tokens{}, ErrNoUsage
	}
	if len(raw) > maxUsageBytes {
		return Tokens{}, insane("the object is longer than %d bytes", maxUsageBytes)
	}
	object, err := readObject("usage", raw)
	if err != nil {
		return Tokens{}, err
	}
	for _, names := range twins() {
		t, err := object.tokens(names)
		if !errors.Is(err, ErrNoUsage) {
			return t, err
		}
	}
	return Tokens{}, ErrNoUsage
}

// twin is one way to name the two sides of an answer.
type twin struct{ prompt, completion string }

// twins is in order of trust.
func twins() [2]twin {
	return [2]twin{{"prompt_tokens", "completion_tokens"}, {"input_tokens", "output_tokens"}}
}

// object is one level of a usage object; the values are still JSON.
type object map[string]json.RawMessage

// readObject splits a JSON object, and refuses a name that stands twice: what it
// says would depend on who reads it. null, and the empty array that some languages
// write for an empty object, are an object without members.
func readObject(name string, raw []byte) (object, error) {
	if !json.Valid(raw) {
		return nil, insane("%s is not JSON", name)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	switch first, _ := d.Token(); first {
	case nil:
		return nil, nil
	case json.Delim('['):
		if !d.More() {
			return nil, nil
		}
		return nil, insane("%s is not an object", name)
	case json.Delim('{'):
	default:
		return nil, insane("%s is not an object", name)
	}
	members := object{}
	for d.More() {
		var value json.RawMessage
		key, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		member, isName := key.(string)
		if err != nil || !isName {
			return nil, insane("%s is not JSON", name)
		}
		if _, twice := members[member]; twice {
			return nil, insane("%s has a name twice", name)
		}
		members[member] = value
	}
	return members, nil
}

// tokens reads one twin: ErrNoUsage when both sides are absent.
func (o object) tokens(names twin) (Tokens, error) {
	prompt, hasPrompt, err := o.figure(names.prompt)
	if err != nil {
		return Tokens{}, err
	}
	completion, hasCompletion, err := o.figure(names.completion)
	if err != nil {
		return Tokens{}, err
	}
	if !hasPrompt && !hasCompletion {
		return Tokens{}, ErrNoUsage
	}
	total, hasTotal, err := o.figure("total_tokens")
	switch {
	case err != nil:
		return Tokens{}, err
	case hasTotal && total != prompt+completion:
		return Tokens{}, insane("total_tokens is not %s plus %s", names.prompt, names.completion)
	case !hasTotal && !hasPrompt:
		return Tokens{}, insane("%s is missing", names.prompt)
	case !hasTotal && !hasCompletion:
		return Tokens{}, insane("%s is missing", names.completion)
	}
	in, err := o.parts(names.prompt, prompt)
	if err != nil {
		return Tokens{}, err
	}
	out, err := o.parts(names.completion, completion)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		Prompt: prompt, Cached: in.cached,
		Completion: completion, Reasoning: out.reasoning,
		Image: in.image + out.image, Audio: in.audio + out.audio,
	}, nil
}

// parts is what a details object tells about one side. The side's own figure
// decides what is paid; a provider may well report text_tokens 0 beside it.
type parts struct{ cached, reasoning, image, audio int64 }

func (o object) parts(side string, whole int64) (parts, error) {
	var p parts
	raw, present := o[side+"_details"]
	if !present {
		return p, nil
	}
	details, err := readObject(side+"_details", raw)
	if err != nil {
		return p, err
	}
	for _, part := range [...]struct {
		name string
		into *int64
	}{
		{"cached_tokens", &p.cached},
		{"reasoning_tokens", &p.reasoning},
		{"image_tokens", &p.image},
		{"audio_tokens", &p.audio},
	} {
		if *part.into, _, err = details.figure(part.name); err != nil {
			return p, err
		}
		if *part.into > whole {
			return p, insane("%s of %s is more than the whole", part.name, side)
		}
	}
	return p, nil
}

// figure reads a whole number from 0 to 2^31-1; null is absent.
func (o object) figure(name string) (value int64, present bool, err error) {
	raw := o[name]
	if len(raw) == 0 || string(raw) == "null" {
		return 0, false, nil
	}
	if raw[0] == '-' {
		return 0, true, insane("%s is negative", name)
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, true, insane("%s is not a whole number", name)
		}
		if value = value*10 + int64(c-'0'); value >= tokenLimit {
			return 0, true, insane("%s is 2^31 or more", name)
		}
	}
	return value, true, nil
}

// Check refuses completion tokens above 1.1 times maxCompletion, which is
// max_tokens times n as the client allowed them; the tenth is for tokenizers that
// disagree. 0 or less means that the client named no limit.
func (t Tokens) Check(maxCompletion int64) error {
	if maxCompletion <= 0 || maxCompletion >= tokenLimit || t.Completion <= maxCompletion*11/10 {
		return nil
	}
	return insane("completion_tokens is above 1.1 times the %d that the request allowed", maxCompletion)
}

// valid says whether these figures may be priced and recorded, whoever made them.
func (t Tokens) valid() error {
	for _, figure := range [...]struct {
		name         string
		value, whole int64
	}{
		{"prompt_tokens", t.Prompt, tokenLimit - 1},
		{"cached_tokens", t.Cached, t.Prompt},
		{"completion_tokens", t.Completion, tokenLimit - 1},
		{"reasoning_tokens", t.Reasoning, t.Completion},
		{"image_tokens", t.Image, t.Prompt + t.Completion},
		{"audio_tokens", t.Audio, t.Prompt + t.Completion},
	} {
		if figure.value < 0 || figure.value > figure.whole {
			return insane("%s must be from 0 to %d, got %d", figure.name, figure.whole, figure.value)
		}
	}
	return nil
}
