package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"tollgate/config"
	"tollgate/keys"
	"tollgate/simulator"
	"tollgate/telemetry"

	"github.com/spf13/cobra"
)

//go:embed demo.yaml
var demoConfig []byte

// demoPace is how fast the simulated providers answer: slow enough to see a
// stream arrive, quick enough not to wait for it.
const (
	demoFirstToken = 200 * time.Millisecond
	demoGap        = 40 * time.Millisecond
)

// demoProvider is one provider of the demo and where it really lives.
type demoProvider struct {
	name     simulator.Provider
	variable string // prefix of the variables in demo.yaml, and of the real API key
	address  string
}

func demoProviders() [3]demoProvider {
	return [3]demoProvider{
		{simulator.StarMagic, "STARMAGIC", "https://api.starmagic.ai/v1"},
		{simulator.TheTurbo, "THETURBO", "https://gateway.theturbo.ai/v1"},
		{simulator.Evolink, "EVOLINK", "https://api.evolink.ai/v1"},
	}
}

func newDemo(stdout, stderr io.Writer) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: simulated providers, a gateway, a key and a curl line",
		Long: `Start the three providers, simulated by their own documents, and a gateway in
front of them with a temporary store; issue a key, and print a curl line to paste.
Nothing leaves this machine, unless a provider's real API key is in the environment
(STARMAGIC_API_KEY, THETURBO_API_KEY, EVOLINK_API_KEY): that one is used for real.`,
		Example: `  tollgate demo
  tollgate demo --listen 127.0.0.1:9000
  STARMAGIC_API_KEY=... tollgate demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := demo{listen: listen, fixed: cmd.Flags().Changed("listen"), stdout: stdout, stderr: stderr, getenv: os.Getenv}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "the gateway's address; when it is taken and was not asked for, any free port")
	return cmd
}

// demo is one run of the demonstration.
type demo struct {
	listen         string
	fixed          bool // the address was asked for
	stdout, stderr io.Writer
	getenv         func(string) string

	settings map[string]string
	real     []string // the providers used for real
}

func (d *demo) run(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "tollgate-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	providers, err := simulator.New(simulator.Options{
		Behaviour: simulator.Behaviour{FirstToken: demoFirstToken, Gap: demoGap},
	}).Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, providers.Close(context.WithoutCancel(ctx))) }()

	d.configure(providers.URL(), folder)
	c, err := config.Parse("demo.yaml", demoConfig, config.Environment{Lookup: d.lookup})
	if err != nil {
		return err
	}
	log, end, err := telemetry.NewLogger(d.stderr, c.Telemetry)
	if err != nil {
		return err
	}
	defer end()
	p, err := start(c, log)
	if err != nil {
		return err
	}
	_, secret, err := p.keys.By("demo").Create(ctx, keys.Spec{Tenant: "demo", Name: "demo"})
	if err != nil {
		return errors.Join(err, p.stop())
	}
	if err := d.greet(p, secret, folder); err != nil {
		return errors.Join(err, p.stop())
	}
	return p.wait(ctx)
}

// configure fills in demo.yaml's variables.
func (d *demo) configure(simulated, folder string) {
	listen := d.listen
	if !d.fixed && !isFree(listen) {
		listen = "127.0.0.1:0"
	}
	d.settings = map[string]string{
		"DEMO_LISTEN":       listen,
		"DEMO_ADMIN_LISTEN": "127.0.0.1:0",
		"DEMO_DATA_DIR":     folder,
	}
	for _, provider := range demoProviders() {
		url, key := simulated+"/"+string(provider.name)+"/v1", "simulated"
		if real := d.getenv(provider.variable + "_API_KEY"); real != "" {
			url, key = provider.address, real
			d.real = append(d.real, string(provider.name))
		}
		d.settings[provider.variable+"_URL"] = url
		d.settings[provider.variable+"_API_KEY"] = key
	}
}

func (d *demo) lookup(name string) (string, bool) {
	value, ok := d.settings[name]
	return value, ok
}

// isFree reports whether an address can be listened on.
func isFree(address string) bool {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return ln.Close() == nil
}

func (d *demo) greet(p *process, secret telemetry.Secret, folder string) error {
	where := "all three providers are simulated: nothing leaves this machine"
	if len(d.real) > 0 {
		where = "used for real, and billed by them: " + strings.Join(d.real, ", ")
	}
	base := "http://" + p.publicAddress()
	curl := func(body string) string {
		return fmt.Sprintf("curl -N %s/v1/chat/completions -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '%s'",
			base, secret.Reveal(), body)
	}
	_, err := fmt.Fprintf(d.stdout, `
Tollgate is running on %s
(%s)

key      %s
models   %s

Ask for a stream:

  %s

Or for a whole answer:

  %s

What it cost:

  %s usage --admin http://%s --data-dir %s

Stop with Ctrl-C; everything it stored goes with it.

`,
		base, where, secret.Reveal(), strings.Join(p.table.Load().Names(), "  "),
		curl(`{"model":"gemini-flash","stream":true,"messages":[{"role":"user","content":"Say hello"}]}`),
		curl(`{"model":"gemini-2.5-flash-lite","messages":[{"role":"user","content":"Say hello"}]}`),
		os.Args[0], p.adminAddress(), folder)
	return err
}
