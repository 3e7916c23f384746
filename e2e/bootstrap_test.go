package e2e

import (
	"encoding/json"
	"net"
	"testing"

	"tollgate/store/redistest"
)

// freeAddress is one of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestBootstrap orders a key at the moment when a fleet starts that never ran before,
// Redis included: the command waits, and the key works at every replica.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.WithAppendOnly())
	redis.Stop()
	provider := startSimulator(t)
	var fleets []*fleet
	for range 3 {
		f := &fleet{env: environment{
			"SIMULATOR": provider, "PROVIDER_KEY": providerKey, "REDIS": redis.Address(), "DATA_DIR": t.TempDir(), "ADMIN": freeAddress(t),
		}}
		fleets = append(fleets, f)
	}
	first := fleets[0].env
	command := launch(t, nil, "keys", "create", "--tenant", "acme", "--name", "first", "-o", "json", "--admin", "http://"+first["ADMIN"], "--data-dir", first["DATA_DIR"])
	for _, f := range fleets {
		f.gateway = begin(t, configuration+storeOf(f.env), f.env)
	}
	redis.Restart()
	if code := command.exit(t, patience); code != 0 {
		t.Fatalf("keys create: exit code %d: %s", code, command.stderr.String())
	}
	var key issued
	if err := json.Unmarshal([]byte(command.stdout.String()), &key); err != nil {
		t.Fatalf("keys create printed %q: %v", command.stdout.String(), err)
	}
	checkSecret(t, key.Secret)
	for _, f := range fleets {
		f.awaitServing(t)
		f.secrets = append(f.secrets, key.Secret)
		f.call(t, key.Secret).plain(t.Context(), ask("gemini-2.5-flash-lite", "Do you know me?")).complete(t)
		f.call(t, key.Secret).stream(t.Context(), ask("gemini-2.5-flash-lite", "And now?")).complete(t)
	}
}
