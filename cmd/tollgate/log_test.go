package main

import (
	"context"
	"strings"
	"testing"
)

// TestLogToTheEnd stops what serves: the last line of its log is there, however
// little time there was to write it.
func TestLogToTheEnd(t *testing.T) {
	f := func(name, log string) {
		t.Helper()
		if !strings.Contains(log, `"msg":"draining"`) || !strings.HasSuffix(log, `"msg":"stopped"}`+"\n") {
			t.Errorf("%s: the log does not end with the end:\n%s", name, log)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr lockedBuffer
	ctx, cancel := context.WithCancel(t.Context())
	d := demo{listen: "127.0.0.1:0", fixed: true, stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	stdout.await(t, "Stop with Ctrl-C")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	f("demo", stderr.String())

	gateway := serveInBackground(t, "serve", "-c", writeFile(t, `
server: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
data_dir: `+t.TempDir()+`
providers:
  starmagic: {contract: starmagic, endpoints: [{url: "http://127.0.0.1:1/v1", api_keys: [simulated]}]}
models:
  gemini-2.5-flash-lite: {targets: [{provider: starmagic}]}
telemetry: {log_format: json}
`))
	gateway.stderr.await(t, `"msg":"serving"`)
	f("serve", gateway.stop().stderr)
}
