package usage

import "errors"

// Tokens is what an answer used. Cached, Image and Audio tokens of the prompt are
// inside Prompt, Reasoning tokens are inside Completion: never add them again.
type Tokens struct {
	Prompt     int64 `json:"prompt_tokens"`
	Cached     int64 `json:"cached_tokens"`
	Completion int64 `json:"completion_tokens"`
	Reasoning  int64 `json:"reasoning_tokens"`
	Image      int64 `json:"image_tokens"`
	Audio      int64 `json:"audio_tokens"`
}

// ErrNoUsage says that a usage object holds no figures at all: it is null, or names neither prompt nor completion tokens.
var ErrNoUsage = errors.New("the usage object holds no token figures")

// ErrInsane is matched by every *InsaneError.
var ErrInsane = errors.New("insane usage")

// InsaneError says why the reported figures cannot be true.
type InsaneError struct{ Reason string }

// Error implements error.
func (e *InsaneError) Error() string { return "insane usage: " + e.Reason }

// Unwrap makes errors.Is(err, ErrInsane) true.
func (e *InsaneError) Unwrap() error { return ErrInsane }

// ParseTokens reads a provider's usage object.
func ParseTokens(raw []byte) (Tokens, error) { panic("stub") }

// Check refuses completion tokens above 1.1 times what the client allowed; 0 allows anything.
func (t Tokens) Check(maxCompletion int64) error { panic("stub") }
