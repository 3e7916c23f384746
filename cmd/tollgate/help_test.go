package main

import (
	"cmp"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands are all commands that users are shown, with their full names.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, commands(c)...)
		}
	}
	return all
}

// TestCommands lists them: scripts rely on the names.
func TestCommands(t *testing.T) {
	root, _ := newRoot(io.Discard, io.Discard)
	var names []string
	for _, c := range commands(root) {
		names = append(names, c.CommandPath())
	}
	for _, want := range []string{
		"tollgate serve", "tollgate demo", "tollgate simulate",
		"tollgate keys create", "tollgate keys import", "tollgate keys list", "tollgate keys show", "tollgate keys update",
		"tollgate keys rotate", "tollgate keys revoke", "tollgate keys delete", "tollgate keys apply",
		"tollgate tenants list", "tollgate tenants show", "tollgate tenants set", "tollgate tenants delete", "tollgate audit",
		"tollgate usage", "tollgate request", "tollgate explain", "tollgate upstreams", "tollgate probe", "tollgate config check", "tollgate config schema", "tollgate version",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %q in %q", want, names)
		}
	}
}

// TestHelp asks every command for help: it says what the command does and gives
// examples, and the command line of each example is one that the program takes.
func TestHelp(t *testing.T) {
	root, _ := newRoot(io.Discard, io.Discard)
	for _, c := range commands(root) {
		path := strings.Fields(c.CommandPath())[1:]
		got := tollgate(t, append(path, "--help")...)
		if got.code != exitDone || got.stderr != "" {
			t.Errorf("%s --help: exit code %d: %s", c.CommandPath(), got.code, got.stderr)
		}
		for _, want := range []string{cmp.Or(c.Long, c.Short), "Usage:", "Examples:"} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s --help does not hold %q:\n%s", c.CommandPath(), want, got.stdout)
			}
		}
		examples := 0
		for line := range strings.Lines(c.Example) {
			if args := exampleArgs(line); args != nil {
				examples++
				checkExample(t, args)
			}
		}
		if examples == 0 {
			t.Errorf("%s has no example:\n%s", c.CommandPath(), c.Example)
		}
	}
}

// exampleArgs is the command line in a line of an example, nil where there is
// none: without variables in front, and without the remark or redirection behind.
func exampleArgs(line string) []string {
	_, command, found := strings.Cut(line, "tollgate ")
	if !found || strings.Contains(line, "curl") {
		return nil
	}
	command = regexp.MustCompile(`\s{2,}.*|\s>.*`).ReplaceAllString(strings.TrimRight(command, "\n"), "")
	args := strings.Fields(command)
	for i := range args {
		args[i] = strings.Trim(args[i], "'")
	}
	return args
}

// checkExample finds the command, and parses its flags and arguments, on a fresh tree.
func checkExample(t *testing.T, args []string) {
	t.Helper()
	root, _ := newRoot(io.Discard, io.Discard)
	cmd, rest, err := root.Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || !cmd.Runnable() {
		t.Errorf("the example %q is no command line: %v", args, err)
	}
}

// TestWrongUsage mistypes: the exit code is 2, nothing is printed but one line
// that says what is wrong.
func TestWrongUsage(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		got := tollgate(t, strings.Fields(line)...)
		if got != (outcome{exitUsage, "", "tollgate: " + want + "\n"}) {
			t.Errorf("tollgate %s: exit code %d, printed %q and complained\n%swant 2 and\ntollgate: %s", line, got.code, got.stdout, got.stderr, want)
		}
	}
	f("fly", `unknown command "fly" for "tollgate"`)
	f("keys fly", `unknown command "fly" for "tollgate keys"`)
	f("config fly", `unknown command "fly" for "tollgate config"`)
	f("serve now", `unknown command "now" for "tollgate serve"`)
	f("version --verbose", `unknown flag: --verbose`)
	f("serve -x", `unknown shorthand flag: 'x' in -x`)
	f("serve -c", `flag needs an argument: 'c' in -c`)
	f("keys show", `accepts 1 arg(s), received 0`)
	f("keys revoke one two", `accepts 1 arg(s), received 2`)
	f("request", `accepts 1 arg(s), received 0`)
	f("keys create --requests-per-minute many", `invalid argument "many" for "--requests-per-minute" flag: must be a whole number in plain digits, got "many"`)
	f("keys update key_Xy12Zab34Cde --burst 1.5", `invalid argument "1.5" for "--burst" flag: must be a whole number in plain digits, got "1.5"`)
	f("tenants set acme --tokens-per-minute 99999999999999999999",
		`invalid argument "99999999999999999999" for "--tokens-per-minute" flag: must be a smaller number, got "99999999999999999999"`)
	f("keys list --limit all", `invalid argument "all" for "--limit" flag: must be a whole number in plain digits, got "all"`)
	f("keys list -o yaml", `invalid argument "yaml" for "-o, --output" flag: must be table or json, got "yaml"`)
	f("usage -o yaml", `invalid argument "yaml" for "-o, --output" flag: must be table or json, got "yaml"`)
	f("upstreams all", `unknown command "all" for "tollgate upstreams"`)
	f("upstreams --every 5s", `--every: says how often --watch looks: give --watch too`)
	f("upstreams --watch --every 1ms", `--every: must be at least 100ms, got 1ms`)
	f("upstreams --watch --every often", `invalid argument "often" for "--every" flag: time: invalid duration "often"`)
	f("explain", `--file: name the file with the request's body, or - for standard input`)
	f("explain -f no-such-file", `--key: name the key that the request would come with by its id: tollgate keys list shows it`)
	f("explain -f no-such-file --key tg_secret", `--key: this is a key's secret: name its id, as tollgate keys list shows it`)
	f("explain -f no-such-file --key key_Xy12Zab34Cde", `--file: open no-such-file: no such file or directory`)
	f("explain -f . --key key_Xy12Zab34Cde", `--file: read .: is a directory`)
	f("explain request.json", `unknown command "request.json" for "tollgate explain"`)
	f("explain -f - --key key_Xy12Zab34Cde -o yaml", `invalid argument "yaml" for "-o, --output" flag: must be table or json, got "yaml"`)
	f("keys create --tenant acme --name ci --expires tomorrow",
		`--expires: must be a duration such as 720h, a moment such as 2027-01-31T00:00:00Z, or never, got "tomorrow"`)
	f("keys update", `accepts 1 arg(s), received 0`)
	f("keys update key_Xy12Zab34Cde", `name what is to change, such as --requests-per-minute 120: tollgate keys update --help shows what can`)
	f("keys update key_Xy12Zab34Cde --expires=", `--expires: is empty: say never for a key that does not end`)
	f("keys update key_Xy12Zab34Cde --disable --enable", `--disabled, --disable and --enable: give one of them`)
	f("keys update key_Xy12Zab34Cde --disabled=false --enable", `--disabled, --disable and --enable: give one of them`)
	f("keys rotate key_Xy12Zab34Cde --grace long", `invalid argument "long" for "--grace" flag: time: invalid duration "long"`)
	f("keys update key_Xy12Zab34Cde --cidrs=", `--cidrs: is empty: say any for every network`)
	f("keys create --tenant acme --name ci --models=", `--models: is empty: say all for every model`)
	f("keys create --tenant acme --name ci --expires=", `--expires: is empty: say never for a key that does not end`)
	f("keys import --tenant acme --name ci --secret-stdin --budget-usd=", `--budget-usd: is empty: say 0 for no budget`)
	f("keys list --tenant=", `--tenant: is empty: give it a value, or leave it out`)
	f("keys create --tenant acme --name ci --models a,all", `--models: all stands for every model, and must stand alone`)
	f("keys update key_Xy12Zab34Cde --cidrs 10.0.0.0/8,any", `--cidrs: any stands for every network, and must stand alone`)
	f("keys create --name ci", `--tenant: say whose key it is`)
	f("keys create --tenant acme", `--name: say what the key is for, such as batch`)
	f("keys import --tenant acme --secret-stdin", `--name: say what the key is for, such as batch`)
	f("keys create --tenant acme --name ci --budget-usd five", `--budget-usd: must be an amount of dollars such as 25 or 0.50, or 0 for none, got "five"`)
	f("tenants set acme --budget-usd=-5", `--budget-usd: must be an amount of dollars such as 25 or 0.50, or 0 for none, got "-5"`)
	f("keys list --limit -1", `--limit: must be at least 1, or 0 for all, got -1`)
	f("keys list --wait -1s", `--wait: must be at least 0s, got -1s`)
	f("keys apply", `--file: name the file with the keys, or - for standard input`)
	f("keys apply -f no-such-file", `--file: open no-such-file: no such file or directory`)
	f("keys apply -f .", `--file: read .: is a directory`)
	f("tenants set", `accepts 1 arg(s), received 0`)
	f("tenants set acme", `name what is to change, such as --requests-per-minute 3000: tollgate tenants set --help shows what can`)
	f("audit --limit -1", `--limit: must be at least 1, or 0 for all, got -1`)
	f("audit --key tg_secret", `--key: this is a key's secret: name its id, as tollgate keys list shows it`)
	f("usage --by colour", `--by: bad usage query: cannot group by "colour"; tenant, key, model, provider and day exist`)
	f("usage --from yesterday", `--from: must be a day such as 2026-01-31, got "yesterday"`)
	f("usage --to 2026-02-31", `--to: must be a day such as 2026-01-31, got "2026-02-31"`)
}

// TestNobodyThere runs an operator's command where no gateway is: exit code 1,
// and what to do about it.
func TestNobodyThere(t *testing.T) {
	data := t.TempDir()
	got := tollgate(t, "keys", "list", "--data-dir", data, "--wait", "0s")
	if got.code != exitFailed || !strings.Contains(got.stderr, "TOLLGATE_ADMIN_TOKEN") || !strings.Contains(got.stderr, "--data-dir") {
		t.Errorf("without a token: exit code %d: %s", got.code, got.stderr)
	}
	var stderr strings.Builder
	t.Setenv("TOLLGATE_ADMIN_TOKEN", "a-token-of-some-length")
	code := exitCode(run(t.Context(), []string{"keys", "list", "--admin", "127.0.0.1:9", "--wait", "0s"}, io.Discard, &stderr), &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "127.0.0.1:9") || strings.Contains(stderr.String(), "a-token-of-some-length") {
		t.Errorf("nobody listens: exit code %d: %s", code, stderr.String())
	}
}

// TestVersion prints the version as it was built in.
func TestVersion(t *testing.T) {
	got := tollgate(t, "version")
	if got.code != exitDone || !regexp.MustCompile(`^tollgate devel \(go1\.\d+(\.\d+)?, [a-z]+/[a-z0-9]+\)\n$`).MatchString(got.stdout) {
		t.Errorf("got %+v", got)
	}
}
