package upstream

// ContractConfig says what a provider takes. In the file it is the name of a
// contract, or a mapping of these options.
type ContractConfig struct {
	// Base names the document that says what this provider takes: starmagic, theturbo, evolink, or openai for any other OpenAI-compatible service.
	Base string `yaml:"base,short"`
}

// UnmarshalYAML reads either form.
func (c *ContractConfig) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&c.Base) == nil {
		return nil
	}
	type plain ContractConfig
	return unmarshal((*plain)(c))
}

// contract returns the contract that a valid configuration describes.
func (c ContractConfig) contract() *Contract {
	contract, _ := ContractByName(c.Base)
	return contract
}
