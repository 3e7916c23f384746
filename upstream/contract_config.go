package upstream

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// ContractConfig says what a provider takes: a contract, and what the provider
// does differently. In the file it is the name of a contract, or a mapping of
// these options. An option that is left out changes nothing, nor does an empty list;
// only an empty list in words, or an empty range in ranges, lifts what the base says.
type ContractConfig struct {
	// Base names the document that says what this provider takes: starmagic, theturbo, evolink, or openai for any other OpenAI-compatible service.
	Base string `yaml:"base,short"`
	// Allow lists request fields that the provider takes beside those of the base. With stream_options and no stream_usage, where the base has never, it is passed on when the client sends it.
	Allow []string `yaml:"allow,omitempty"`
	// Deny lists request fields that the provider does not take. A request that needs one goes to others.
	Deny []string `yaml:"deny,omitempty"`
	// Forward lists fields that no provider documents, such as user and metadata, and that this one gets all the same. Not for openai, which gets them all.
	Forward []string `yaml:"forward,omitempty"`
	// Drop lists such fields that this provider must not get, for openai: they are left out, and named in x-tollgate-dropped. All other bases get none.
	Drop []string `yaml:"drop,omitempty"`
	// Ranges are the ranges of numbers, by field that the contract takes. An empty one, {}, lifts that of the base.
	Ranges map[string]RangeConfig `yaml:"ranges,omitempty"`
	// Words are the values that reasoning_effort and response_format may have, by field that the contract takes: words of 1 to 64 letters, digits and any of . _ -. An empty list, [], lifts that of the base: any value may be sent.
	Words map[string][]string `yaml:"words,omitempty"`
	// MaxStops is the largest number of stop sequences, -1 for any. Left out or 0: as the base.
	MaxStops int `yaml:"max_stops,omitempty"`
	// Stop is how stop sequences are sent: as_is (as the client wrote them), string (a single one as a string), array (always as an array).
	Stop string `yaml:"stop,omitempty"`
	// Extensions lists the members of extra_body: google.cached_content, google.thinking_config, other; or any or none alone. Where the base knows none and allow has extra_body: any.
	Extensions []string `yaml:"extensions,omitempty"`
	// OtherTools says whether tools need not be functions: allow, deny.
	OtherTools string `yaml:"other_tools,omitempty"`
	// Media lists the forms in which media may come: http (by address), data (base64 data: URLs), plain_data (other data: URLs), input_audio, other; or any or none alone.
	Media []string `yaml:"media,omitempty"`
	// MediaTypes lists the MIME types of data: URLs, such as image/png or image/*; or any alone.
	MediaTypes []string `yaml:"media_types,omitempty"`
	// Roles lists the roles of messages: system, developer, user, assistant, tool, function; or any alone. Where system is listed and developer is not, the one is sent for the other.
	Roles []string `yaml:"roles,omitempty"`
	// MessageFields lists the fields of messages beside role and content: tool_calls, tool_call_id, function_call, audio; or any or none alone.
	MessageFields []string `yaml:"message_fields,omitempty"`
	// EmptyContent says whether the content of a message may be null, as beside tool_calls: allow, deny.
	EmptyContent string `yaml:"empty_content,omitempty"`
	// StreamUsage says whether stream_options.include_usage may be sent: inject, pass, never. With inject and pass the provider takes stream_options, whether the base documents it or not.
	StreamUsage string `yaml:"stream_usage,omitempty"`
	// Done says whether streams end with [DONE]: required (one that ends without it has broken off), optional (it is whole without it if every choice has its finish_reason and the transfer ends cleanly; clients are sent a [DONE] all the same).
	Done string `yaml:"done,omitempty"`
}

// RangeConfig is the range of a number, both ends included.
type RangeConfig struct {
	// Least is the smallest number. Left out: none.
	Least Bound `yaml:"least,omitempty"`
	// Most is the largest number. Left out: none.
	Most Bound `yaml:"most,omitempty"`
}

// Bound is an end of a range, as the file writes it; empty: no end.
type Bound string

// UnmarshalText takes a decimal number.
func (b *Bound) UnmarshalText(text []byte) error {
	if _, err := strconv.ParseFloat(string(text), 64); len(text) > 0 && (err != nil || strings.ContainsAny(string(text), "xXpP_nN")) {
		return errors.New("must be a number such as 0.25, got " + strconv.Quote(string(text)))
	}
	*b = Bound(text)
	return nil
}

// MarshalYAML returns the number, without quotes.
func (b Bound) MarshalYAML() ([]byte, error) { return []byte(b), nil }

// or is the number, or v when there is none.
func (b Bound) or(v float64) float64 {
	if f, err := strconv.ParseFloat(string(b), 64); err == nil {
		return f
	}
	return v
}

// bound is the end of a range as the file writes it.
func bound(v float64) Bound {
	if math.IsInf(v, 0) {
		return ""
	}
	return Bound(shortNumber(v))
}

// UnmarshalYAML reads either form.
func (c *ContractConfig) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&c.Base) == nil {
		return nil
	}
	type plain ContractConfig
	return unmarshal((*plain)(c))
}

// YAML returns the value of the option `contract` in one line, in the short form
// where that says it all: theturbo, or {base: theturbo, allow: [seed]}.
func (c ContractConfig) YAML() string {
	if c.short() {
		return c.Base
	}
	text, err := yaml.MarshalWithOptions(c, yaml.Flow(true))
	if err != nil { // nothing in it can fail
		return c.Base
	}
	return strings.TrimSpace(string(text))
}

// short reports whether only the base is set.
func (c ContractConfig) short() bool {
	lists := len(c.Allow) + len(c.Deny) + len(c.Forward) + len(c.Drop) + len(c.Ranges) + len(c.Words) + len(c.Extensions) +
		len(c.Media) + len(c.MediaTypes) + len(c.Roles) + len(c.MessageFields)
	return lists == 0 && c.MaxStops == 0 && c.Stop+c.OtherTools+c.EmptyContent+c.StreamUsage+c.Done == ""
}
