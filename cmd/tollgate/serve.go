package main

import (
	"context"
	"errors"
	"io"

	"tollgate/config"
	"tollgate/proxy/certs"
	"tollgate/telemetry"

	"github.com/spf13/cobra"
)

func newServe(stderr io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a gateway",
		Long: `Run a gateway as the configuration file says, until SIGTERM or SIGINT: then
/readyz says no, and requests are still accepted for server.shutdown_delay; after
that it stops accepting, lets open answers end (server.drain_timeout), and exits 0.
A second signal ends it at once.

The certificate files of server.tls are opened here, and not by "config check".`,
		Example: `  tollgate serve -c config.yaml
  STARMAGIC_API_KEY=... tollgate serve -c config.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			if err != nil {
				return &usageError{err}
			}
			return serve(cmd.Context(), c, stderr)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "config.yaml", "the configuration file")
	return cmd
}

func serve(ctx context.Context, c *config.Config, stderr io.Writer) error {
	log, end, err := telemetry.NewLogger(stderr, c.Telemetry)
	if err != nil {
		return &usageError{err}
	}
	defer end()
	p, err := start(c, log)
	if bad := (*certs.Error)(nil); errors.As(err, &bad) {
		return &usageError{err} // the configuration names files that are of no use
	}
	if err != nil {
		return err
	}
	log.Info("serving", "listen", p.publicAddress(), "admin", p.adminAddress(), "version", version)
	return p.wait(ctx)
}
