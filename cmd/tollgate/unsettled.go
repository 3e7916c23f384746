package main

import (
	"errors"
	"fmt"
	"io"

	"tollgate/admin"
	"tollgate/telemetry"
)

// unsettledSecret is a secret that the gateway may have given to a key before its answer was lost: it is
// shown all the same, as nobody else could tell it.
type unsettledSecret struct {
	Result result `json:"result"`
	ID     string `json:"id,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	Name   string `json:"name,omitempty"`
	Last4  string `json:"last4"`
	Secret string `json:"secret"`
}

// printUnsettled shows a secret whose call failed with err, where that leaves open if the call was done.
// The error it returns goes on with what to do then.
func (o *operator) printUnsettled(err error, of unsettledSecret, secret telemetry.Secret, hint string) error {
	if !admin.Unsettled(err) {
		return err
	}
	of.Result, of.Secret = unknown, secret.Reveal()
	unshown := o.print(of, func(w io.Writer) {
		row(w, "result", of.Result)
		for _, field := range [][2]string{{"id", of.ID}, {"tenant", of.Tenant}, {"name", of.Name}} {
			if field[1] != "" {
				row(w, field[0], printable(field[1]))
			}
		}
		row(w, "secret", of.Secret+"   (shown this once: keep it until it is known)")
	})
	return errors.Join(fmt.Errorf("%w. It is not known %s", err, hint), unshown)
}
