package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

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

At SIGHUP, and by itself within seconds of a change of the file or of one behind a
${file:} reference in it, providers, models, prices, costs and limits are
reloaded. Requests in progress keep those they began with. A file with a mistake, or
with a change of anything else, changes nothing; the log and the metrics say so. The
environment of a process that runs does not change: what stands there takes a restart.

The certificate files of server.tls are opened here, and not by "config check".`,
		Example: `  tollgate serve -c config.yaml
  STARMAGIC_API_KEY=... tollgate serve -c config.yaml
  kill -HUP PID`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP) // first of all: until then it ends the process
			defer signal.Stop(hangup)
			c, read, err := config.LoadSources(path)
			if err != nil {
				return &usageError{err}
			}
			return serve(cmd.Context(), reloading{c, read, hangup}, stderr)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "config.yaml", "the configuration file")
	return cmd
}

func serve(ctx context.Context, from reloading, stderr io.Writer) error {
	log, end, err := telemetry.NewLogger(stderr, from.config.Telemetry)
	if err != nil {
		return &usageError{err}
	}
	defer end()
	p, err := start(from.config, log)
	if bad := (*certs.Error)(nil); errors.As(err, &bad) {
		return &usageError{err} // the configuration names files that are of no use
	}
	if err != nil {
		return err
	}
	p.reloadFrom(from)
	log.Info("serving", "listen", p.publicAddress(), "admin", p.adminAddress(), "version", version)
	return p.wait(ctx)
}
