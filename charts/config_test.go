package charts

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	f := func(values, path, want string) {
		t.Helper()
		var got, wanted any
		if err := yaml.Unmarshal([]byte(render(t, values).config("tollgate")), &got); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, at(got, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	// What the pod dictates, whatever a file that was copied here says.
	copied := "config: {server: {listen: '127.0.0.1:1', max_event: 1MiB}, admin: {listen: '127.0.0.1:2', token: '${TOLLGATE_ADMIN_TOKEN:-}'}, data_dir: ./data, keys: {pepper: ''}, store: {}}"
	f(copied, "server", "{listen: ':8080', drain_timeout: 300s, max_event: 1MiB}")
	f(copied, "admin", "{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}'}")
	f(copied, "data_dir", "/data")
	f("config: {admin: null, server: null}", "admin", "{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}'}")

	// Nothing becomes another type on its way.
	f("config: {server: {max_in_flight: 5000000}}", "server.max_in_flight", "5000000")
	f("config: {prices: [{model: m, from: 2026-01-01, input: '0.10'}]}", "prices", "[{model: m, from: '2026-01-01', input: '0.10'}]")
	f("config: {providers: {theturbo: null, evolink: null}}", "providers",
		"{starmagic: {contract: starmagic, endpoints: [{url: 'https://api.starmagic.ai/v1', api_keys: ['${STARMAGIC_API_KEY:-}']}]}}")

	f("", "keys", "")
	f("pepper: {value: 0123456789abcdef}", "keys", "{pepper: '${TOLLGATE_PEPPER}'}")
	f("pepper: {existingSecret: s}", "keys", "{pepper: '${TOLLGATE_PEPPER}'}")
}

func TestRedis(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		var got struct{ Store any }
		var wanted any
		if err := yaml.Unmarshal([]byte(render(t, values).config("tollgate")), &got); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, got.Store); diff != "" {
			t.Errorf("%s (-want +got):\n%s", values, diff)
		}
	}
	f("", "")
	f("{redis: {addresses: ['redis:6379'], password: secret, db: 3}}", `
redis: {addresses: ['redis:6379'], cluster: false, master_name: '', username: '', password: '${REDIS_PASSWORD:-}', db: 3, tls: false, tls_ca: ''}`)
	f(valuesFile(t, "fleet"), `
redis:
  addresses: ['sentinel-0.redis:26379', 'sentinel-1.redis:26379', 'sentinel-2.redis:26379']
  cluster: false
  master_name: tollgate
  sentinel_username: ''
  sentinel_password: '${REDIS_SENTINEL_PASSWORD:-}'
  username: tollgate
  password: '${REDIS_PASSWORD:-}'
  db: 0
  tls: true
  tls_ca: /etc/tollgate-redis/ca.crt`)

	r := render(t, valuesFile(t, "fleet"))
	r.want(statefulSet, container+".volumeMounts.2", "{name: redis-ca, mountPath: /etc/tollgate-redis, readOnly: true}")
	r.want(statefulSet, pod+".volumes.1", "{name: redis-ca, secret: {secretName: redis-tls, items: [{key: ca.crt, path: ca.crt}]}}")
}

func TestRefusals(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		_, complaint, err := template(t, values)
		if err == nil || !strings.Contains(complaint, want) {
			t.Errorf("%s\n got %v: %s\nwant %s", values, err, complaint, want)
		}
	}
	f("replicaCount: 3", "replicaCount: 3 replicas need a Redis, for the embedded store belongs to one process: set redis.addresses, or replicaCount to 1")
	f("{replicaCount: 2, redis: {addresses: ['r:1']}}", "admin.token: 2 replicas need one token, for each would make its own: set admin.existingSecret (or admin.token)")
	f("redis: {masterName: m}", "redis.addresses: must name a server where other options of redis are set")
	f("redis: {addresses: ['r:1'], sentinelPassword: p}", "redis.masterName: must be set where a Sentinel's login is")
	f("redis: {addresses: ['r:1'], masterName: m, existingSecretSentinelKey: p}", "redis.existingSecret: must name the Secret of redis.existingSecretSentinelKey")
	f("redis: {addresses: ['r:1'], masterName: m, cluster: true}", "redis.cluster: redis.masterName says that the addresses are Sentinels")
	f("redis: {addresses: ['r:1'], tlsCA: {existingSecret: s}}", "redis.tls: must be true where redis.tlsCA.existingSecret is set")
	f("redis: {addresses: ['r:1'], password: p, existingSecret: s}", `redis.password: is set beside the existingSecret "s"; keep one of the two`)
	f("admin: {token: 0123456789abcdef, existingSecret: s}", `admin.token: is set beside the existingSecret "s"; keep one of the two`)
	f("providerKeys: {existingSecret: s, values: {EVOLINK_API_KEY: k}}", `providerKeys.values.EVOLINK_API_KEY: is set beside providerKeys.existingSecret "s"`)
	f("podDisruptionBudget: {minAvailable: 0, maxUnavailable: 0}", "podDisruptionBudget: set minAvailable or maxUnavailable, not both")
	f("config: {server: {drain_timeout: forever}}", `config.server.drain_timeout: must be a duration such as 300s, 5m or 1m30s, written out: the pod's grace period is computed from it; got "forever"`)
	f("config: {server: {drain_timeout: 300}}", `got "300"`)
	f("config: {server: {drain_timeout: '${DRAIN:-5m}'}}", `got "${DRAIN:-5m}"`)
	f("resources: {limits: {memory: lots}}", `resources.limits.memory: must be a quantity such as 512Mi or 1Gi, GOMEMLIMIT is computed from it; got "lots"`)
	f("config: {server: {tls: {key: '${TLS_KEY}'}}}", "config: names the variable ${TLS_KEY}, which nothing sets: add it to providerKeys.values or extraEnv, or write ${TLS_KEY:-}")
}

// TestNoSecretInConfig: a secret that somebody writes into config is refused, and not repeated.
func TestNoSecretInConfig(t *testing.T) {
	f := func(config, want string) {
		t.Helper()
		_, complaint, err := template(t, "config: "+config)
		if err == nil || !strings.Contains(complaint, want) {
			t.Errorf("%s\n got %v: %s\nwant %s", config, err, complaint, want)
		}
		if strings.Contains(complaint, "hush") {
			t.Errorf("%s: the message repeats the secret: %s", config, complaint)
		}
	}
	f("{admin: {token: hush-hush-hush-hush}}", "config.admin.token: the chart sets it, and a ConfigMap is no place for a secret: use admin.existingSecret or admin.token")
	f("{admin: {token: '${OTHER_TOKEN}'}}", "config.admin.token: the chart sets it")
	f("{keys: {pepper: hush-hush-hush-hush}}", "config.keys.pepper: the chart sets it, and a ConfigMap is no place for a secret: use pepper.existingSecret or pepper.value")
	f("{store: {redis: {password: hush}}}", "config.store.redis: the chart sets it, with the password from a Secret: use redis.addresses and its neighbours")
	f("{providers: {my-llm: {endpoints: [{api_keys: [hush]}]}}}", `config.providers.my-llm: an api_keys entry holds a key, and a ConfigMap is no place for a secret: write a reference such as "${MY_LLM_API_KEY:-}"`)
	f("{providers: {other: {endpoints: [{api_keys: ['${OTHER_API_KEY:-hush}']}]}}}", "config.providers.other: an api_keys entry holds a key")
	render(t, "config: {providers: {other: {endpoints: [{api_keys: ['${file:/run/key}', '${EVOLINK_API_KEY:-}', '']}]}, none: null}}")
}

func TestSchemaRefuses(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		_, complaint, err := template(t, values)
		if err == nil || !strings.Contains(complaint, want) || !strings.Contains(complaint, "specifications of the schema") {
			t.Errorf("%s\n got %v: %s\nwant %s", values, err, complaint, want)
		}
	}
	f("replicaCont: 3", "'replicaCont' not allowed")
	f("replicaCount: three", "/replicaCount")
	f("admin: {token: short}", "/admin/token")
	f("redis: {address: r}", "'address' not allowed")
	f("redis: {addresses: [redis]}", "/redis/addresses/0")
	f("providerKeys: {values: {my-key: k}}", "my-key")
	f("providerKeys: {values: {TOLLGATE_PEPPER: k}}", "TOLLGATE_PEPPER")
	f("image: {digest: latest}", "/image/digest")
	f("persistence: {accessModes: [ReadWriteMany]}", "/persistence/accessModes/0") // one process at a time
	f("service: {port: 99999}", "/service/port")
	f("service: {type: ExternalName}", "/service/type")
	f("httpRoute: {enabled: true}", "/httpRoute/parentRefs")
	f("livenessProbe: {httpGet: {path: /}}", "'httpGet' not allowed")
	f("extraEnv: [{name: A, valeu: b}]", "'valeu' not allowed")
	f("config: []", "/config")
}

// TestNotes reads NOTES.txt, which helm template does not print, through extraObjects.
func TestNotes(t *testing.T) {
	notes := func(values string) string {
		t.Helper()
		r := render(t, values+`
extraObjects: [{kind: Notes, metadata: {name: all}, text: '{{ include "tollgate/templates/NOTES.txt" . | b64enc }}'}]`)
		encoded, _ := at(r.object("Notes/all"), "text").(string)
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	f := func(values, want string, there bool) {
		t.Helper()
		if got := notes(values); strings.Contains(got, want) != there {
			t.Errorf("%q is there: %t, want %t\n%s", want, !there, there, got)
		}
	}
	f("", "kubectl -n llm exec statefulset/tollgate -- /tollgate keys create --tenant acme --name first", true)
	f("", "kubectl -n llm port-forward service/tollgate 8080:80 &", true)
	f("", "kubectl -n llm port-forward service/tollgate-admin 8081:8081 &", true)
	f("", "WARNING: no provider has a key", true)
	f("providerKeys: {values: {EVOLINK_API_KEY: k}}", "WARNING", false)
	f("providerKeys: {existingSecret: s}", "WARNING", false)
	f("persistence: {enabled: false}", "KEYS AND USAGE RECORDS ARE LOST WHENEVER A POD IS REPLACED", true)
	f("", "ARE LOST", false)
}
