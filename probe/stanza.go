package probe

import (
	"fmt"

	"tollgate/upstream"
)

// Stanza is the contract that was seen, as the option `contract` of a provider in
// config.yaml: the name of the one that it is based on, and what differs.
func (r Report) Stanza() (string, error) {
	base, known := upstream.ContractByName(r.Observed.Name)
	if !known {
		return "", fmt.Errorf("there is no contract %q to base this on", r.Observed.Name)
	}
	return "contract: " + upstream.Differences(base, r.Observed).YAML() + "\n", nil
}
