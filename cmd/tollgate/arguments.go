package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"tollgate/admin"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkArguments refuses, for every command that talks to a gateway, what must not be sent: a secret, and a
// flag that is empty, as that of a variable that was not set: its key would be open to everybody.
func checkArguments(cmd *cobra.Command) error {
	if cmd.Flags().Lookup("admin") == nil {
		return nil
	}
	if err := refuseSecrets(cmd); err != nil {
		return err
	}
	var found error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if text := f.Value.String(); text == "" || text == "[]" {
			found = &usageError{errors.New("--" + f.Name + ": " + insteadOfEmpty(f.Name))}
		}
	})
	return found
}

func insteadOfEmpty(flag string) string {
	switch flag {
	case "models":
		return "is empty: say all for every model"
	case "cidrs":
		return "is empty: say any for every network"
	case "expires":
		return "is empty: say never for a key that does not end"
	case "budget-usd":
		return "is empty: say 0 for no budget"
	}
	return "is empty: give it a value, or leave it out"
}

// speakInFlags has the refusals of the API, which speaks of fields and paths, name flags and commands. A value
// that it refuses is a mistake in the command line.
func speakInFlags(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		speakInFlags(below)
	}
	do := cmd.RunE
	if do == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return inFlags(cmd, do(cmd, args)) }
}

var (
	fieldForm = regexp.MustCompile(`(^|; )([a-z0-9_]+): `)
	pathForm  = regexp.MustCompile(`GET /admin/v1/(keys|tenants) lists`)
)

func inFlags(cmd *cobra.Command, err error) error {
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok || err.Error() != refused.Message {
		return err // it came in the middle of something, which its error says
	}
	said := *refused
	said.Message = pathForm.ReplaceAllString(said.Message, "tollgate $1 list shows")
	if said.Status != http.StatusBadRequest || said.Code != "invalid_value" {
		return &said
	}
	said.Message = fieldForm.ReplaceAllStringFunc(said.Message, func(text string) string {
		parts := fieldForm.FindStringSubmatch(text)
		flag := strings.ReplaceAll(parts[2], "_", "-")
		if cmd.Flags().Lookup(flag) == nil {
			return text
		}
		return fmt.Sprintf("%s--%s: ", parts[1], flag)
	})
	return &usageError{&said}
}
