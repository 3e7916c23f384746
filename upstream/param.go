package upstream

import "math/bits"

// Param is a top-level field of a chat completion request that decides who can serve
// it. Other fields (user, metadata, store, service_tier, parallel_tool_calls, ...) are
// deliberately none, or hardly anybody could serve a request that has one: where the
// contract does not pass them they are left out and named, and what they would have
// done is then missing.
type Param uint8

// The documented request fields, in the order in which an unsupported one is reported.
const (
	ParamModel Param = iota
	ParamMessages
	ParamStream
	ParamStreamOptions
	ParamMaxTokens
	ParamMaxCompletionTokens
	ParamTemperature
	ParamTopP
	ParamTopK
	ParamN
	ParamStop
	ParamFrequencyPenalty
	ParamPresencePenalty
	ParamSeed
	ParamLogprobs
	ParamTopLogprobs
	ParamResponseFormat
	ParamTools
	ParamToolChoice
	ParamReasoningEffort
	ParamExtraBody
	ParamLogitBias
	ParamFunctions
	ParamFunctionCall
	ParamAudio
	ParamWebSearchOptions
	paramCount
)

// String returns the field's name in the request body.
func (p Param) String() string {
	if p >= paramCount {
		return "unknown"
	}
	return paramNames()[p]
}

// Twin returns the other name of a field that has two: the limit on an answer's tokens,
// of which max_tokens is the older one (https://platform.openai.com/docs/api-reference/chat/create).
// It reports false for every other field.
func (p Param) Twin() (Param, bool) {
	switch p {
	case ParamMaxTokens:
		return ParamMaxCompletionTokens, true
	case ParamMaxCompletionTokens:
		return ParamMaxTokens, true
	}
	return p, false
}

// ParamByName finds the Param of a top-level field. It reports false for a field
// that no contract documents.
func ParamByName(name string) (Param, bool) {
	for p, known := range paramNames() {
		if known == name {
			return Param(p), true
		}
	}
	return 0, false
}

func paramNames() [paramCount]string {
	return [paramCount]string{
		ParamModel:               "model",
		ParamMessages:            "messages",
		ParamStream:              "stream",
		ParamStreamOptions:       "stream_options",
		ParamMaxTokens:           "max_tokens",
		ParamMaxCompletionTokens: "max_completion_tokens",
		ParamTemperature:         "temperature",
		ParamTopP:                "top_p",
		ParamTopK:                "top_k",
		ParamN:                   "n",
		ParamStop:                "stop",
		ParamFrequencyPenalty:    "frequency_penalty",
		ParamPresencePenalty:     "presence_penalty",
		ParamSeed:                "seed",
		ParamLogprobs:            "logprobs",
		ParamTopLogprobs:         "top_logprobs",
		ParamResponseFormat:      "response_format",
		ParamTools:               "tools",
		ParamToolChoice:          "tool_choice",
		ParamReasoningEffort:     "reasoning_effort",
		ParamExtraBody:           "extra_body",
		ParamLogitBias:           "logit_bias",
		ParamFunctions:           "functions",
		ParamFunctionCall:        "function_call",
		ParamAudio:               "audio",
		ParamWebSearchOptions:    "web_search_options",
	}
}

// ParamSet is a set of Params; the zero value is empty.
type ParamSet uint64

// Params returns the set of the given fields.
func Params(params ...Param) ParamSet {
	var s ParamSet
	for _, p := range params {
		s = s.With(p)
	}
	return s
}

// Has reports whether p is in the set.
func (s ParamSet) Has(p Param) bool { return s&(1<<p) != 0 }

// With returns the set with p added.
func (s ParamSet) With(p Param) ParamSet { return s | 1<<p }

// Without returns the set with p removed.
func (s ParamSet) Without(p Param) ParamSet { return s &^ (1 << p) }

// First returns the set's first field in reporting order; false when it is empty.
func (s ParamSet) First() (Param, bool) {
	if s == 0 {
		return 0, false
	}
	return Param(bits.TrailingZeros64(uint64(s))), true
}

// Names returns the names of the set's fields, in reporting order.
func (s ParamSet) Names() []string {
	var names []string
	for p := range paramCount {
		if s.Has(p) {
			names = append(names, p.String())
		}
	}
	return names
}

// AllParams returns the set of every Param.
func AllParams() ParamSet { return 1<<paramCount - 1 }
