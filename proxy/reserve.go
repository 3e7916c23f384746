package proxy

// What a prompt is taken for until its provider has counted it. Too much is given back when the request ends; too little
// is owed by those that come later.
const (
	fewestBytes    = 3   // of JSON: about 4 are to a token of English text, and 3 to a character of Chinese
	tokensPerMedia = 258 // Gemini's figure for an image, https://ai.google.dev/gemini-api/docs/tokens
)

// reservation is how many tokens the request is taken to cost: at least one.
func (x *exchange) reservation() int64 { return max(1, x.promptBound()+x.completionBound()) }

// promptBound is what the prompt costs at most, as far as its bytes tell: all of the body counts, since tools and schemas
// are text to a model, too, but for the media in it.
func (x *exchange) promptBound() int64 {
	d := x.document
	text := int64(len(d.Body))
	for i := range d.Media {
		if m := &d.Media[i]; m.Base64 {
			text -= int64(m.URL.Len())
		}
	}
	return (text+fewestBytes-1)/fewestBytes + int64(len(d.Media))*tokensPerMedia
}

// completionBound is how long the answers to all choices may be: as long as the client allows, or where it says nothing
// as long as those before it have been. No sum of it overflows: a document has at most scan.MaxN choices, and
// limits.max_completion_tokens is 2^31 at most.
func (x *exchange) completionBound() int64 {
	d := x.document
	each := d.MaxTokens
	if each == 0 {
		each = x.gateway.Forecast.Completion(x.key.ID, x.model.Name)
	}
	return max(0, min(each, x.plan.MaxCompletionTokens)) * max(1, d.N)
}
