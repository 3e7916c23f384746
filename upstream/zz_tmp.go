package upstream

func (c *Contract) Passes(string) bool { return false }
func (n *Needs) Names() []string       { return nil }
