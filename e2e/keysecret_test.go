package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/store/redistest"
)

// TestKeysLeaveNoSecret has secrets that the gateway made, that the command line made and
// that somebody brought along go through all that a key can go through, with the most talkative log
// there is. Afterwards none of them is anywhere, in any form: not in Redis and its files, not in the replicas'
// own files and logs, not in what operators and programs are told, and in no process' arguments.
func TestKeysLeaveNoSecret(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.WithAppendOnly())
	three := newTrio(t, redis, environment{"LOG_LEVEL": "debug"})
	secrets, told := map[string]string{}, &told{}
	keep := func(what, secret string) {
		if len(secret) < 16 {
			t.Fatalf("%s is no secret: %d characters", what, len(secret))
		}
		secrets[what] = secret
		for _, f := range three.replicas {
			f.secrets = append(f.secrets, secret)
		}
	}
	minted := three.operators[0].create(t, `"name":"minted"`)
	keep("one that the gateway made", minted.Secret)
	var printed issued
	three.replicas[1].operateJSON(t, &printed, "keys", "create", "--tenant", "acme", "--name", "printed")
	keep("one that the command line made", printed.Secret)
	const brought = "sk-legacy/7Qx+93kd~Wp2m.Zt51bNrV8c"
	keep("one brought along", brought)
	command := launchOn(t, strings.NewReader(brought+"\n"), nil, "keys", "import", "--tenant", "acme", "--name", "imported", "--secret-stdin",
		"-o", "json", "--admin", three.replicas[2].admin, "--data-dir", three.replicas[2].dataDir)
	var imported tenantKey
	if code := command.exit(t, patience); code != 0 || json.Unmarshal([]byte(command.stdout.String()), &imported) != nil || imported.ID == "" {
		t.Fatalf("keys import: exit code %d: %s%s", code, command.stdout.String(), command.stderr.String())
	}
	told.operator(0, command)
	again := three.operators[1].create(t, `"name":"imported",`+digestOf(brought))
	if again.ID != imported.ID {
		t.Errorf("imported twice as %s and %s", imported.ID, again.ID)
	}

	ids := []string{minted.ID, printed.ID, imported.ID}
	for _, secret := range []string{minted.Secret, printed.Secret, brought} {
		three.use(t, told, secret)
	}
	for i, id := range ids { // one at each replica
		rotated := three.operators[i].rotate(t, id, "1h")
		keep("another of "+id, rotated.Secret)
		three.use(t, told, rotated.Secret)
		var key issued
		three.replicas[i].operateJSON(t, &key, "keys", "rotate", id, "--grace", "1h")
		keep("a third of "+id, key.Secret)
		three.use(t, told, key.Secret)
	}
	three.operate(t, told, minted.ID, minted.Secret)
	for what, secret := range secrets { // of ended keys as well
		if !strings.Contains(what, imported.ID) {
			three.misuse(t, told, secret)
		}
	}

	places := map[string]string{
		"Redis": redis.Everything(t), "Redis' files": filesOf(t, redis), "the audit": three.operators[1].order(t.Context(), http.MethodGet, "/audit?limit=1000", "").body,
		"the response headers": told.headers.String(), "the error bodies": told.other.String(), "what operators were told": told.operators.String(),
	}
	for i, f := range three.replicas {
		_, metrics := f.get(t, "/metrics")
		places[fmt.Sprintf("the metrics of replica %d", i)] = metrics
		places[fmt.Sprintf("the arguments of replica %d", i)] = f.arguments(t)
		f.stop(t)
		places[fmt.Sprintf("the log of replica %d", i)] = f.stdout.String() + f.stderr.String()
		places[fmt.Sprintf("the files of replica %d", i)] = f.stored(t)
	}
	search(t, places, secrets)
}

// digestOf are the fields by which an operator imports a secret.
func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf(`"secret_sha256":%q,"last4":%q`, hex.EncodeToString(sum[:]), secret[len(secret)-4:])
}

// use has a good key answered by every replica.
func (three *trio) use(t *testing.T, told *told, secret string) {
	t.Helper()
	for i, client := range three.clients {
		for _, w := range []wish{
			{secret: secret, body: question(trioModel, "hello")},
			{secret: secret, body: inStream(question(trioModel, "hello"))},
			{method: http.MethodGet, path: "/v1/models", secret: secret},
			{method: http.MethodGet, path: "/v1/usage", secret: secret},
		} {
			r := client.send(t.Context(), w)
			if r.status != http.StatusOK {
				t.Errorf("replica %d answers a good key %s", i, r)
			}
			told.hear(r, &told.other)
		}
	}
}

// misuse shows secrets where they do not belong, and in wrong forms.
func (three *trio) misuse(t *testing.T, told *told, secret string) {
	t.Helper()
	for i, client := range three.clients {
		for _, w := range []wish{
			{secret: secret + "x", body: question(trioModel, "hello")},
			{secret: secret, body: question("no-such-model", "hello")},
			{secret: secret, body: `{"model":"` + secret + `"}`},
			{method: http.MethodGet, path: "/v1/models/" + secret[:16], secret: secret},
		} {
			told.hear(client.send(t.Context(), w), &told.other)
		}
		for _, w := range []wish{
			{method: http.MethodPost, path: "/admin/v1/keys", body: `{"tenant":"acme","name":"x","secret":"` + secret + `"}`},
			{method: http.MethodPost, path: "/admin/v1/keys", body: `{"tenant":"acme","name":"x","secret_sha256":"` + secret + `"}`},
			{method: http.MethodPost, path: "/admin/v1/keys", body: `{"tenant":"` + secret + `","name":"x"}`},
			{method: http.MethodGet, path: "/admin/v1/keys/" + secret},
			{method: http.MethodDelete, path: "/admin/v1/keys/" + secret},
			{method: http.MethodPost, path: "/admin/v1/keys/" + secret + "/revoke", body: "{}"},
			{method: http.MethodGet, path: "/admin/v1/keys?after=" + secret},
			{method: http.MethodGet, path: "/admin/v1/audit?key=" + secret},
		} {
			w.secret = three.operators[i].token
			r := three.operators[i].send(t.Context(), w)
			if r.status < 400 || r.status > 499 {
				if !strings.Contains(w.path, "/audit") { // a filter that nothing fits
					t.Errorf("%s %s is answered %s", w.method, w.path, r)
				}
			}
			told.operators.WriteString(r.body)
			_ = r.header.Write(&told.operators)
		}
	}
}

// operate does all else with a key that operators do, and ends it.
func (three *trio) operate(t *testing.T, told *told, id, secret string) {
	t.Helper()
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPatch, "/keys/" + id, `{"name":"renamed","models":["gemini-*"],"requests_per_minute":100000}`},
		{http.MethodGet, "/keys/" + id, ""},
		{http.MethodGet, "/keys?tenant=acme&limit=1000", ""},
		{http.MethodPut, "/tenants/acme", `{"requests_per_minute":1000000}`},
		{http.MethodGet, "/tenants", ""},
		{http.MethodPost, "/keys/" + id + "/revoke", `{"now":true}`},
		{http.MethodDelete, "/keys/" + id, ""},
	} {
		r := three.operators[2].order(t.Context(), call.method, call.path, call.body)
		if r.status != http.StatusOK {
			t.Errorf("%s %s is answered %s", call.method, call.path, r)
		}
		told.operators.WriteString(r.body)
	}
	three.shutSoon(t, "a key that is gone", secret)
}

// filesOf is what a server of Redis has on disk: its append-only files, a dump, its log and its configuration.
func filesOf(t *testing.T, redis *redistest.Server) string {
	t.Helper()
	client := redis.Client(t)
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	dir, err := client.ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err = filepath.WalkDir(dir["dir"], func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		all.Write(raw)
		return err
	})
	if err != nil || !strings.Contains(all.String(), "tollgate:{keys}") {
		t.Fatalf("Redis has written %d bytes, and no key's record (%v)", all.Len(), err)
	}
	return all.String()
}
