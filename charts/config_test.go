package charts

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	f := func(values, path, want string) {
		t.Helper()
		render(t, values).wantConfig(path, want)
	}
	// What the pod dictates, whatever a file that was copied here says.
	copied := "config: {server: {listen: '127.0.0.1:1', max_event: 1MiB}, admin: {listen: '127.0.0.1:2', token: '${TOLLGATE_ADMIN_TOKEN:-}'}, data_dir: ./data, keys: {pepper: ''}, store: {}}"
	f(copied, "server", "{listen: ':8080', drain_timeout: 300s, max_event: 1MiB}")
	f(copied, "admin", "{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}'}")
	f(copied, "data_dir", "/data")
	f("config: {keys: {pepper: '${TOLLGATE_PEPPER:-}'}}", "keys", "{pepper: '${TOLLGATE_PEPPER:-}'}")
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

// TestMaxReplicas: without Redis a replica grants its share of a limit, so it must know of how many.
func TestMaxReplicas(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		render(t, values).wantConfig("limits", want)
	}
	const fleet = "redis: {addresses: ['redis:6379']}, admin: {existingSecret: s}"
	f("{replicaCount: 3, "+fleet+"}", "{max_replicas: 3}")
	f("{replicaCount: 0, "+fleet+"}", "{max_replicas: 1}")
	f("{replicaCount: 3, "+fleet+", config: {limits: {default: {requests_per_minute: 7}, max_replicas: null}}}", "{default: {requests_per_minute: 7}, max_replicas: 3}")
	f("{replicaCount: 3, "+fleet+", config: {limits: {max_replicas: 8}}}", "{max_replicas: 8}")
	f("{replicaCount: 3, "+fleet+", config: {limits: null}}", "{max_replicas: 3}")
	f("{replicaCount: null, "+fleet+"}", "") // an autoscaler's: the gateway's own default
	f("{replicaCount: 1}", "")

	// To scale replaces no pod.
	checksum := func(values string) any {
		t.Helper()
		return at(render(t, values).object(statefulSet), "spec.template.metadata.annotations")
	}
	two, three := checksum("{replicaCount: 2, "+fleet+"}"), checksum("{replicaCount: 3, "+fleet+"}")
	if diff := cmp.Diff(two, three); diff != "" {
		t.Errorf("one more replica changes the pods (-2 +3):\n%s", diff)
	}
	if other := checksum("{replicaCount: 3, " + fleet + ", config: {limits: {max_keys: 7}}}"); cmp.Equal(three, other) {
		t.Error("limits.max_keys does not change the pods")
	}
}

// TestRepositoryConfig: the repository's config.yaml is a value of config as it stands.
func TestRepositoryConfig(t *testing.T) {
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := "config:\n  " + strings.ReplaceAll(string(text), "\n", "\n  ")
	r := render(t, values)
	r.wantConfig("admin", "{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}'}")
	r.wantConfig("store", "")
	r.wantConfig("limits.max_keys", "100000")
	r.want(statefulSet, container+".ports.0.name", "http")
	r.want(statefulSet, container+".lifecycle", "{preStop: {sleep: {seconds: 10}}}")
	r = render(t, values, "{redis: {addresses: ['redis:6379']}, pepper: {existingSecret: s}, tls: {existingSecret: s}}")
	r.wantConfig("store.redis.addresses", "['redis:6379']")
	r.wantConfig("keys.pepper", "'${TOLLGATE_PEPPER}'")
	r.wantConfig("server.tls", "{cert: /etc/tollgate-tls/tls.crt, key: /etc/tollgate-tls/tls.key}")
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
	// A dollar sign begins a reference in config.yaml.
	f("{redis: {addresses: ['r:1'], masterName: a$b, username: '$', sentinelUsername: '${X}'}}", `
redis: {addresses: ['r:1'], cluster: false, master_name: a$$b, sentinel_username: '$${X}', sentinel_password: '${REDIS_SENTINEL_PASSWORD:-}',
  username: '$$', password: '${REDIS_PASSWORD:-}', db: 0, tls: false, tls_ca: ''}`)
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

// notesTest reads NOTES.txt, which helm template does not print, through extraObjects.
func notesTest(t *testing.T) func(values, want string, there bool) {
	notes := func(values string) string {
		t.Helper()
		r := render(t, values, `extraObjects: [{kind: Notes, metadata: {name: all}, text: '{{ include "tollgate/templates/NOTES.txt" . | b64enc }}'}]`)
		encoded, _ := at(r.object("Notes/all"), "text").(string)
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return func(values, want string, there bool) {
		t.Helper()
		if got := notes(values); strings.Contains(got, want) != there {
			t.Errorf("%q is there: %t, want %t\n%s", want, !there, there, got)
		}
	}
}

func TestNotes(t *testing.T) {
	f := notesTest(t)
	f("", "kubectl -n llm exec statefulset/tollgate -- /tollgate keys create --tenant acme --name first", true)
	f("", "In one terminal\n\n   kubectl -n llm port-forward service/tollgate 8080:80\n\n   and in another\n\n   curl", true)
	f("", "kubectl -n llm port-forward service/tollgate-admin 8081:8081\n", true)
	f("", "tollgate in llm, 1 replica(s).", true)
	f(openFleet, "tollgate in llm, with as many replicas as are asked for elsewhere.", true)
	f(openFleet, "for pod in $(kubectl -n llm get pods", true)
	f("config: {models: {zz: null}}", `"model":"gemini-flash"`, true)
	const proxies = "WARNING: config.server.trusted_proxies is empty"
	f("ingress: {enabled: true}", proxies, true)
	f("httpRoute: {enabled: true, parentRefs: [{name: gateway}]}", proxies, true)
	f("{config: {server: null}, ingress: {enabled: true}}", proxies, true)
	f("{config: {server: {trusted_proxies: [10.0.0.0/8]}}, ingress: {enabled: true}}", proxies, false)
	f("", proxies, false)
	f("", "WARNING: no provider has a key", true)
	f("providerKeys: {values: {EVOLINK_API_KEY: k}}", "WARNING", false)
	f("providerKeys: {existingSecret: s}", "WARNING", false)
	f("extraEnvFrom: [{secretRef: {name: s}}]", "WARNING", false)
	f("extraEnv: [{name: EVOLINK_API_KEY, value: k}]", "WARNING", false)
	f("extraEnv: [{name: TZ, value: UTC}]", "WARNING: no provider has a key", true)
	f("config: {providers: {evolink: {endpoints: [{url: 'https://e', api_keys: ['${file:/run/keys/evolink}']}]}}}", "WARNING", false)
	f("", "--reset-then-reuse-values", true) // a new chart's own values count
	f("persistence: {enabled: false}", "KEYS AND USAGE RECORDS ARE LOST WHENEVER A POD IS REPLACED", true)
	f("", "ARE LOST", false)
}
