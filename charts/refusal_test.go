package charts

import (
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		_, complaint, err := template(t, values)
		if err == nil || !strings.Contains(complaint, want) {
			t.Errorf("%s\n got %v: %s\nwant %s", values, err, complaint, want)
		}
	}
	f("replicaCount: 3", "replicaCount: 3 replicas need a Redis, for the embedded store belongs to one process: set redis.addresses, or replicaCount to 1")
	f("{replicaCount: 2, redis: {addresses: ['r:1']}}", "admin.token: 2 replicas need one token, for each would make its own: set admin.existingSecret (or admin.token), or name admin.operators")
	f("admin: {operators: {names: [alice]}}", "admin.operators: existingSecret and names belong together")
	f("admin: {operators: {existingSecret: s}}", "admin.operators: existingSecret and names belong together")
	f("admin: {operators: {existingSecret: s, names: [admin]}}", "/admin/operators/names/0")
	f("admin: {operators: {existingSecret: s, names: [tollgate]}}", "/admin/operators/names/0")
	f("admin: {operators: {existingSecret: s, names: [Alice]}}", "/admin/operators/names/0")
	f("admin: {operators: {existingSecret: s, names: [a, a]}}", "/admin/operators/names")
	f("{admin: {operators: {existingSecret: s, names: [a]}}, config: {admin: {tokens: {a: '${A}'}}}}", "config.admin.tokens.a: the chart sets it, for admin.operators.names has a; drop one of the two")
	f("replicaCount: null", "replicaCount: replicas of an open number need a Redis")
	f("{replicaCount: null, redis: {addresses: ['r:1']}}", "admin.token: replicas of an open number need one token")
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
	f("redis: {addresses: [redis]}", `redis.addresses[0]: must be host:port such as redis:6379, without a scheme and without a login (redis.tls, redis.username and redis.existingSecret say those); got "redis"`)
	f("redis: {addresses: ['r:1', 'redis://r:1']}", `redis.addresses[1]: must be host:port`)
	f("redis: {addresses: ['r:1'], cluster: true, db: 3}", "redis.db: must be 0 for a Cluster, which has no other, got 3")
	f("redis: {addresses: ['r:1', 'r:2'], db: 3}", "several addresses without redis.masterName are a Cluster's")
	f("service: {nodePort: 30080}", "service.nodePort: must be left out with service.type ClusterIP")
	f("service: {externalTrafficPolicy: Local}", "service.externalTrafficPolicy: must be left out with service.type ClusterIP")
	f("service: {loadBalancerClass: c}", "service.loadBalancerClass: must be left out with service.type ClusterIP")
	f("service: {type: NodePort, loadBalancerSourceRanges: [192.0.2.0/24]}", "service.loadBalancerSourceRanges: must be left out with service.type NodePort")
	f("nameOverride: a.b", `fullnameOverride: must be set, for no Service can be called "tollgate-a.b", as this release would be`)
	f("resources: {limits: {memory: lots}}", `resources.limits.memory: must be a quantity such as 512Mi or 1Gi, GOMEMLIMIT is computed from it; got "lots"`)
	f("config: {telemetry: {service_name: '${SITE}'}}", "config: names the variable ${SITE}, which nothing sets: add it to providerKeys.values or extraEnv, or write ${SITE:-}")

	f("{preStopSeconds: 20, config: {server: {shutdown_delay: 1m}}}", "preStopSeconds: its 20 s and the 60 s of config.server.shutdown_delay would add up, and both wait for load balancers to look elsewhere: drop preStopSeconds, or set config.server.shutdown_delay to 0s")
	f("config: {server: {shutdown_delay: soon}}", `config.server.shutdown_delay: must be a duration such as 300s, 5m or 1m30s, written out: the pod's grace period is computed from it; got "soon"`)
	f("config: {server: {shutdown_delay: '${DELAY:-5s}'}}", `got "${DELAY:-5s}"`)
	f("config: {server: {shutdown_delay: -5s}}", `got "-5s"`)
	f("{tls: {existingSecret: s}, config: {server: {tls: {cert: /run/tls.crt, key: /run/tls.key}}}}", "config.server.tls.cert: the chart sets it where tls.existingSecret names a Secret: leave it out, or clear tls.existingSecret")
	f("config: {server: {tls: {cert: /run/tls.crt}}}", "config.server.tls: cert and key belong together: give both, or neither, or use tls.existingSecret")
	f("config: {server: {tls: {key: /run/tls.key}}}", "config.server.tls: cert and key belong together")
	f("config: {server: {tls: {cert: tls.crt, key: /run/tls.key}}}", "config.server.tls.cert: must be the absolute path of a file, written out: use tls.existingSecret, or name a file of extraVolumeMounts")
	f("config: {server: {tls: {cert: '${CERT:-}', key: '${KEY:-}'}}}", "config.server.tls.cert: must be the absolute path of a file, written out")
}

// TestWhatIsNotRefused: the same by other means.
func TestWhatIsNotRefused(t *testing.T) {
	f := func(values string) {
		t.Helper()
		render(t, "{replicaCount: 2, redis: {addresses: ['r:1']}, "+values+"}")
	}
	f("extraEnv: [{name: TOLLGATE_ADMIN_TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]")
	f("extraEnvFrom: [{secretRef: {name: s}}]")
	f("extraEnvFrom: [{secretRef: {name: s}}], redis: {addresses: ['[2001:db8::1]:6379', '${REDIS_ADDRESS}'], masterName: m, db: 3}")
	f("admin: {operators: {existingSecret: s, names: [alice]}}")
	f("admin: {existingSecret: s}, service: {type: NodePort, nodePort: 30080, externalTrafficPolicy: Local}")
	f("admin: {existingSecret: s}, config: {store: {redis: {addresses: [], password: '${REDIS_PASSWORD}', db: 0}}}")
}

// TestKubernetesVersion: an older cluster has no sleep action and would refuse the pod.
func TestKubernetesVersion(t *testing.T) {
	f := func(version, want string) {
		t.Helper()
		inputs(t)
		_, complaint, err := helm("template", "tollgate", "tollgate", "--kube-version", version)
		if (err == nil) != (want == "") || !strings.Contains(complaint, want) {
			t.Errorf("%s\n got %v: %s\nwant %s", version, err, complaint, want)
		}
	}
	f("1.29.9", "requires kubeVersion: >=1.30.0-0")
	f("1.30.0", "")
	f("v1.31.4-gke.1372000", "")
}

// TestNoSecretInMessages: what may be a secret is refused without being repeated.
func TestNoSecretInMessages(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		_, complaint, err := template(t, values)
		if err == nil || !strings.Contains(complaint, want) || strings.Contains(complaint, "hush") {
			t.Errorf("%s\n got %v: %s\nwant %s", values, err, complaint, want)
		}
	}
	f("admin: {token: hush}", "/admin/token")
	f("pepper: {value: hush}", "/pepper/value")
	f("redis: {addresses: ['redis://user:hush@redis:6379']}", "redis.addresses[0]: must be host:port")
	f("redis: {addresses: ['user:hush@redis:6379']}", "redis.addresses[0]: must be host:port")
	f("providerKeys: {values: {A: {b: hush}}}", "/providerKeys/values/A")
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
	f("{admin: {tokens: {alice: hush-hush-hush-hush}}}", `config.admin.tokens: an entry holds a token, and a ConfigMap is no place for a secret: use admin.operators, or write a reference such as "${ALICE_TOKEN}"`)
	f("{admin: {tokens: {alice: '${ALICE_TOKEN:-hush}'}}}", "config.admin.tokens: an entry holds a token")
	f("{keys: {pepper: hush-hush-hush-hush}}", "config.keys.pepper: the chart sets it, and a ConfigMap is no place for a secret: use pepper.existingSecret or pepper.value")
	f(`{server: {tls: {cert: /run/tls.crt, key: "-----BEGIN PRIVATE KEY-----\nhush\n"}}}`, "config.server.tls.key: must be the absolute path of a file, written out")
	f(`{server: {tls: {cert: /run/tls.crt, key: "/hush\nhush"}}}`, "config.server.tls.key: must be the absolute path of a file, written out")
	f("{store: {redis: {password: hush}}}", "config.store.redis.password: the chart sets it, with the password from a Secret: use redis.addresses and its neighbours")
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
	f("providerKeys: {values: {my-key: k}}", "my-key")
	f("providerKeys: {values: {TOLLGATE_PEPPER: k}}", "TOLLGATE_PEPPER")
	f("providerKeys: {values: {GOMEMLIMIT: k}}", "GOMEMLIMIT")
	f("nameOverride: Foo_Bar", "/nameOverride")
	f("fullnameOverride: '2024'", "/fullnameOverride") // a Service's name begins with a letter
	f("livenessProbe: {successThreshold: 2}", "/livenessProbe/successThreshold")
	f("startupProbe: {successThreshold: 2}", "/startupProbe/successThreshold")
	f("readinessProbe: {terminationGracePeriodSeconds: 5}", "/readinessProbe/terminationGracePeriodSeconds")
	f("persistence: {accessModes: [ReadWriteOnce, ReadWriteOncePod]}", "/persistence/accessModes")
	f("image: {digest: latest}", "/image/digest")
	f("persistence: {accessModes: [ReadWriteMany]}", "/persistence/accessModes/0") // one process at a time
	f("service: {port: 99999}", "/service/port")
	f("service: {type: ExternalName}", "/service/type")
	f("httpRoute: {enabled: true}", "/httpRoute/parentRefs")
	f("tls: {secretName: s}", "'secretName' not allowed")
	f("tls: {existingSecret: 5}", "/tls/existingSecret")
	f("config: {server: {tls: true}}", "/config/server/tls")
	f("preStopSeconds: 10s", "/preStopSeconds")
	f("livenessProbe: {httpGet: {path: /}}", "'httpGet' not allowed")
	f("extraEnv: [{name: A, valeu: b}]", "'valeu' not allowed")
	f("config: []", "/config")
}
