package upstream

// StreamUsage says whether stream_options.include_usage may be sent to a provider.
type StreamUsage uint8

const (
	// StreamUsageNever never sends it; the usage chunk comes from Tollgate's own count.
	StreamUsageNever StreamUsage = iota
	// StreamUsagePass sends it when the client did.
	StreamUsagePass
	// StreamUsageInject always asks for it, and keeps the chunk from a client that did not.
	StreamUsageInject
)

// StreamUsageByName returns the value that config.yaml calls by this name.
func StreamUsageByName(name string) (StreamUsage, bool) {
	switch name {
	case "never":
		return StreamUsageNever, true
	case "pass":
		return StreamUsagePass, true
	case "inject":
		return StreamUsageInject, true
	}
	return StreamUsageNever, false
}

// String returns the name used in config.yaml.
func (u StreamUsage) String() string {
	switch u {
	case StreamUsagePass:
		return "pass"
	case StreamUsageInject:
		return "inject"
	}
	return "never"
}
