package scan

// field is a documented top-level member.
type field struct {
	name  string
	takes kinds
	use   use
}

// use says what Parse does with a member beyond checking its kind.
type use uint8

const (
	passOn use = iota
	readModel
	readMessages
	readStream
	readStreamOptions
	readN
	readMaxTokens
	readStop
	readResponseFormat
	readReasoningEffort
	readToolChoice
	readTools
	readExtraBody
)

// fieldOf finds a documented member by its folded name. Members that this table
// leaves out are validated as JSON and nothing more; those whose form no
// provider page states take anything.
func fieldOf(folded []byte) (field, bool) {
	if f, ok := fieldRead(folded); ok {
		return f, true
	}
	if f, ok := fieldTyped(folded); ok {
		return f, true
	}
	name := fieldFree(folded)
	return field{name, anything, passOn}, name != ""
}

// fieldRead has the members whose values Parse reads.
func fieldRead(folded []byte) (field, bool) {
	switch string(folded) {
	case "model":
		return field{"model", aString, readModel}, true
	case "messages":
		return field{"messages", anArray, readMessages}, true
	case "stream":
		return field{"stream", aBool | orNull, readStream}, true
	case "stream_options":
		return field{"stream_options", anObject | orNull, readStreamOptions}, true
	case "n":
		return field{"n", anInteger | orNull, readN}, true
	case "max_tokens":
		return field{"max_tokens", anInteger | orNull, readMaxTokens}, true
	case "max_completion_tokens":
		return field{"max_completion_tokens", anInteger | orNull, readMaxTokens}, true
	case "stop":
		return field{"stop", aString | anArray | orNull, readStop}, true
	case "response_format":
		return field{"response_format", anObject | orNull, readResponseFormat}, true
	case "reasoning_effort":
		return field{"reasoning_effort", aString | orNull, readReasoningEffort}, true
	case "tools":
		return field{"tools", anArray | orNull, readTools}, true
	case "extra_body":
		return field{"extra_body", anObject | orNull, readExtraBody}, true
	}
	return field{}, false
}

// fieldTyped has the members whose type the providers' pages state.
func fieldTyped(folded []byte) (field, bool) {
	switch string(folded) {
	case "temperature":
		return field{"temperature", aNumber | orNull, passOn}, true
	case "top_p":
		return field{"top_p", aNumber | orNull, passOn}, true
	case "top_k":
		return field{"top_k", anInteger | orNull, passOn}, true
	case "frequency_penalty":
		return field{"frequency_penalty", aNumber | orNull, passOn}, true
	case "presence_penalty":
		return field{"presence_penalty", aNumber | orNull, passOn}, true
	case "seed":
		return field{"seed", anInteger | orNull, passOn}, true
	case "logprobs":
		return field{"logprobs", aBool | orNull, passOn}, true
	case "top_logprobs":
		return field{"top_logprobs", anInteger | orNull, passOn}, true
	case "tool_choice":
		return field{"tool_choice", aString | anObject | orNull, readToolChoice}, true
	}
	return field{}, false
}

// fieldFree has the other members of OpenAI's API, known by name alone.
func fieldFree(folded []byte) string {
	switch string(folded) {
	case "audio":
		return "audio"
	case "function_call":
		return "function_call"
	case "functions":
		return "functions"
	case "logit_bias":
		return "logit_bias"
	case "metadata":
		return "metadata"
	case "modalities":
		return "modalities"
	case "parallel_tool_calls":
		return "parallel_tool_calls"
	case "prediction":
		return "prediction"
	case "prompt_cache_key":
		return "prompt_cache_key"
	case "safety_identifier":
		return "safety_identifier"
	case "service_tier":
		return "service_tier"
	case "store":
		return "store"
	case "user":
		return "user"
	case "verbosity":
		return "verbosity"
	case "web_search_options":
		return "web_search_options"
	}
	return ""
}
