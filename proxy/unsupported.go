package proxy

import (
	"errors"
	"fmt"
	"strings"

	"tollgate/upstream"
)

// unsupportedError is a request that no provider of its model can serve.
type unsupportedError struct {
	*upstream.UnsupportedError
	named bool // the client may know the names of providers
}

// withNames decides whether a client is told who lacks what.
func (g *Gateway) withNames(err error) error {
	if lacking := (*upstream.UnsupportedError)(nil); errors.As(err, &lacking) {
		return &unsupportedError{lacking, g.Config.UpstreamHeaders}
	}
	return err
}

func (e *unsupportedError) failure() Failure {
	return Failure{Status: 400, Type: typeInvalid, Code: "unsupported_parameter", Param: e.Param, Message: e.message()}
}

func (e *unsupportedError) message() string {
	switch {
	case e.named:
		return e.detailed()
	case e.Common:
		return fmt.Sprintf("no provider of this model takes %q as it was sent", e.Param)
	}
	return fmt.Sprintf("no provider of this model takes %q together with the rest of the request", e.Param)
}

// detailed tells what each provider lacks, and who would take the field in the way.
func (e *unsupportedError) detailed() string {
	const most = 8 // names that a reader wants
	var b strings.Builder
	b.WriteString("no provider of this model can serve this request: ")
	for i, p := range e.Lacking {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == most {
			fmt.Fprintf(&b, "and %d more cannot", len(e.Lacking)-most)
			break
		}
		b.WriteString(p.Provider + " " + p.Why)
	}
	if len(e.Takers) > 0 {
		fmt.Fprintf(&b, "; configured providers that would take %q as sent: %s", e.Param, strings.Join(e.Takers[:min(len(e.Takers), most)], ", "))
	}
	return b.String()
}
