package upstream

// Unsupported says what becomes of harmless tuning fields that a provider does not document.
type Unsupported uint8

const (
	// UnsupportedSkip skips the provider.
	UnsupportedSkip Unsupported = iota
	// UnsupportedDrop leaves the field out, and says so in x-tollgate-dropped.
	UnsupportedDrop
)

// UnsupportedByName returns the value that config.yaml calls by this name.
func UnsupportedByName(name string) (Unsupported, bool) {
	switch name {
	case "skip":
		return UnsupportedSkip, true
	case "drop":
		return UnsupportedDrop, true
	}
	return UnsupportedSkip, false
}

// String returns the name used in config.yaml.
func (u Unsupported) String() string {
	if u == UnsupportedDrop {
		return "drop"
	}
	return "skip"
}

// Harmless are the tuning fields whose loss changes how an answer is worded, but
// neither its form, nor its length, nor what it costs.
func Harmless() ParamSet {
	return Params(ParamTemperature, ParamTopP, ParamTopK, ParamFrequencyPenalty, ParamPresencePenalty, ParamSeed)
}
