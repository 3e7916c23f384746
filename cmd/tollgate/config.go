package main

import (
	"fmt"
	"io"

	"tollgate/config"

	"github.com/spf13/cobra"
)

func newConfig(stdout io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print its JSON Schema",
		Example: `  tollgate config check -c config.yaml
  tollgate config schema > tollgate.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(stdout), newConfigSchema(stdout))
	return cmd
}

func newConfigCheck(stdout io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Read a configuration as serve would, and say what is wrong with it",
		Example: "  tollgate config check -c config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := config.Load(path)
			if err != nil {
				return &usageError{err}
			}
			_, err = fmt.Fprintf(stdout, "%s is valid: %d providers, %d models\n", path, len(c.Upstream.Providers), len(c.Upstream.Models))
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "config.yaml", "the configuration file")
	return cmd
}

func newConfigSchema(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of config.yaml, for editors",
		Example: "  tollgate config schema > tollgate.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := stdout.Write(config.Schema())
			return err
		},
	}
}
