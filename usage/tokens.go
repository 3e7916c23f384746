package usage

import (
	"bytes"
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
	// Everything below walks JSON that is known to be well-formed.
	if !validJSON(raw) {
		return Tokens{}, insane("usage is not JSON")
	}
	var space [usualMembers]member
	object, err := readObject("usage", raw, space[:0])
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

// side is how one side of an answer is named: its figure, and the object of its parts.
type side struct{ figure, details string }

// twin is one way to name both sides.
type twin struct{ prompt, completion side }

// twins is in order of trust.
func twins() [2]twin {
	return [2]twin{
		{side{"prompt_tokens", "prompt_tokens_details"}, side{"completion_tokens", "completion_tokens_details"}},
		{side{"input_tokens", "input_tokens_details"}, side{"output_tokens", "output_tokens_details"}},
	}
}

// tokens reads one twin: ErrNoUsage when both sides are absent.
func (o object) tokens(names twin) (Tokens, error) {
	prompt, hasPrompt, err := o.figure(names.prompt.figure)
	if err != nil {
		return Tokens{}, err
	}
	completion, hasCompletion, err := o.figure(names.completion.figure)
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
		return Tokens{}, insane("total_tokens is not %s plus %s", names.prompt.figure, names.completion.figure)
	case !hasTotal && !hasPrompt:
		return Tokens{}, insane("%s is missing", names.prompt.figure)
	case !hasTotal && !hasCompletion:
		return Tokens{}, insane("%s is missing", names.completion.figure)
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

func (o object) parts(s side, whole int64) (parts, error) {
	raw := o.value(s.details)
	if raw == nil {
		return parts{}, nil
	}
	var space [usualMembers]member
	details, err := readObject(s.details, raw, space[:0])
	if err != nil {
		return parts{}, err
	}
	var figures [4]int64
	for i, name := range [...]string{"cached_tokens", "reasoning_tokens", "image_tokens", "audio_tokens"} {
		if figures[i], _, err = details.figure(name); err != nil {
			return parts{}, err
		}
		if figures[i] > whole {
			return parts{}, insane("%s of %s is more than the whole", name, s.figure)
		}
	}
	return parts{cached: figures[0], reasoning: figures[1], image: figures[2], audio: figures[3]}, nil
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
