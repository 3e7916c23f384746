package charts

import (
	"fmt"
	"testing"
)

const (
	statefulSet = "StatefulSet/tollgate"
	pod         = "spec.template.spec"
	container   = "spec.template.spec.containers.0"
)

func TestDefaultPod(t *testing.T) {
	r := render(t, "")
	f := func(path, want string) {
		t.Helper()
		r.want(statefulSet, path, want)
	}
	f("spec.replicas", "1")
	f("spec.podManagementPolicy", "Parallel")
	f(pod+".automountServiceAccountToken", "false")
	f(pod+".enableServiceLinks", "false")
	f(pod+".serviceAccountName", "tollgate")
	f(container+".image", "tollgate:0.1.0")
	f(container+".args", "[serve, -c, /etc/tollgate/config.yaml]")
	f(container+".workingDir", "/") // data_dir is ./data to the command line
	f(container+".ports", "[{name: http, containerPort: 8080}, {name: admin, containerPort: 8081}]")
	f(container+".startupProbe.httpGet", "{path: /healthz, port: admin}")
	f(container+".livenessProbe.httpGet", "{path: /healthz, port: admin}")
	f(container+".readinessProbe.httpGet", "{path: /readyz, port: admin}")
	f(container+".lifecycle", "{preStop: {sleep: {seconds: 10}}}")
	f(container+".resources", "{requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 1Gi}}")
	f(container+".volumeMounts", "[{name: config, mountPath: /etc/tollgate, readOnly: true}, {name: data, mountPath: /data}]")
	f(pod+".volumes", "[{name: config, configMap: {name: tollgate}}]")
	r.want("ServiceAccount/tollgate", "automountServiceAccountToken", "false")
}

// TestPodIsRestricted: what the restricted Pod Security Standard asks for, and a read-only root.
func TestPodIsRestricted(t *testing.T) {
	for _, file := range []string{"defaults", "fleet"} {
		r := render(t, valuesFile(t, file))
		r.want(statefulSet, pod+".securityContext", `
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}`)
		r.want(statefulSet, container+".securityContext", `
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}`)
		r.want(statefulSet, pod+".hostNetwork", "")
		r.want(statefulSet, pod+".initContainers", "")
	}
}

// TestGracePeriodCoversTheEnd: the wait for load balancers, the drain, and 15 s more.
func TestGracePeriodCoversTheEnd(t *testing.T) {
	f := func(drain, want string) {
		t.Helper()
		r := render(t, "config: {server: {drain_timeout: "+drain+"}}")
		r.want(statefulSet, pod+".terminationGracePeriodSeconds", want)
	}
	f("300s", "325") // 10 s of preStop before, 15 s after
	f("5m", "325")
	f("1m30s", "115")
	f("1h0m0.5s", "3626")
	f("1500ms", "27")
	f("10us", "26")
	f("null", "325") // the gateway's own default

	r := render(t, "{preStopSeconds: 45, config: {server: null}}")
	r.want(statefulSet, pod+".terminationGracePeriodSeconds", "360")
	r.want(statefulSet, container+".lifecycle.preStop.sleep.seconds", "45")
}

// TestOneWaitForLoadBalancers: before SIGTERM or after it, and in the grace period either way.
func TestOneWaitForLoadBalancers(t *testing.T) {
	f := func(values, grace, lifecycle string) {
		t.Helper()
		r := render(t, values)
		r.want(statefulSet, pod+".terminationGracePeriodSeconds", grace)
		r.want(statefulSet, container+".lifecycle", lifecycle)
	}
	const tenSeconds = "{preStop: {sleep: {seconds: 10}}}"
	f("", "325", tenSeconds)
	f("config: {server: {shutdown_delay: 0s}}", "325", tenSeconds) // as the repository's config.yaml says
	f("config: {server: {shutdown_delay: 0}}", "325", tenSeconds)
	f("config: {server: {shutdown_delay: null}}", "325", tenSeconds)
	f("config: {server: {shutdown_delay: 20s}}", "335", "")
	f("{preStopSeconds: null, config: {server: {shutdown_delay: 20s, drain_timeout: 1m}}}", "95", "")
	f("{preStopSeconds: 0, config: {server: {shutdown_delay: 1m30s}}}", "405", "")
	f("config: {server: {shutdown_delay: 100ms}}", "316", "") // rounded up
	f("preStopSeconds: 0", "315", "")
	f("preStopSeconds: 7", "322", "{preStop: {sleep: {seconds: 7}}}")
	f("preStopSeconds: null", "325", tenSeconds)
	f("{preStopSeconds: 7, config: {server: {shutdown_delay: 0s}}}", "322", "{preStop: {sleep: {seconds: 7}}}")
}

func TestMemoryLimitLeavesRoom(t *testing.T) {
	f := func(resources, want string) {
		t.Helper()
		r := render(t, "resources: "+resources)
		got := ""
		for _, v := range r.environment("tollgate") {
			if v.name == "GOMEMLIMIT" {
				got = v.from
			}
		}
		if got != want {
			t.Errorf("%s: GOMEMLIMIT is %q, want %q", resources, got, want)
		}
	}
	f("{limits: {memory: 1Gi}}", "966367641")
	f("{limits: {memory: 512Mi}}", "483183820")
	f("{limits: {memory: 1.5G}}", "1350000000")
	f("{limits: {memory: 1073741824}}", "966367641")
	f("{limits: {memory: '1e9'}}", "900000000")
	f("{limits: {memory: 1e9}}", "900000000")
	f("{limits: {memory: 1Pi}}", "1013309916158361")
	f("{limits: {memory: null, cpu: 2}}", "")
	f("{limits: null}", "")
	f("null", "")

	// Whoever sets it may write the limit as they like.
	r := render(t, "{resources: {limits: {memory: 1000m}}, extraEnv: [{name: GOMEMLIMIT, value: 100MiB}]}")
	r.want(statefulSet, container+".resources.limits.memory", "1000m")
}

// TestProbesThatKill: a gateway that answers no probe has nothing to drain, but
// would hold its successor back for the whole grace period.
func TestProbesThatKill(t *testing.T) {
	r := render(t, "{livenessProbe: {terminationGracePeriodSeconds: 5}}")
	r.want(statefulSet, container+".startupProbe.terminationGracePeriodSeconds", "30")
	r.want(statefulSet, container+".livenessProbe.terminationGracePeriodSeconds", "5")
	r.want(statefulSet, container+".readinessProbe.terminationGracePeriodSeconds", "") // Kubernetes refuses it there
}

func TestStorage(t *testing.T) {
	r := render(t, "")
	r.want(statefulSet, "spec.volumeClaimTemplates.0.metadata.name", "data")
	r.want(statefulSet, "spec.volumeClaimTemplates.0.spec", "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}")
	r.want(statefulSet, "spec.persistentVolumeClaimRetentionPolicy", "{whenDeleted: Retain, whenScaled: Retain}")

	r = render(t, "persistence: {storageClass: '-', size: 1Ti}")
	r.want(statefulSet, "spec.volumeClaimTemplates.0.spec",
		"{accessModes: [ReadWriteOnce], storageClassName: '', resources: {requests: {storage: 1Ti}}}")

	r = render(t, "persistence: {enabled: false}")
	r.want(statefulSet, "spec.volumeClaimTemplates", "")
	r.want(statefulSet, pod+".volumes", "[{name: config, configMap: {name: tollgate}}, {name: data, emptyDir: {}}]")
}

// TestRollout: a new configuration or a new secret replaces the pods, nothing else about them does.
func TestRollout(t *testing.T) {
	annotations := func(values string) string {
		t.Helper()
		return fmt.Sprint(at(render(t, values).object(statefulSet), "spec.template.metadata.annotations"))
	}
	f := func(a, b string, same bool) {
		t.Helper()
		if got := annotations(a) == annotations(b); got != same {
			t.Errorf("same annotations: %t, want %t\n%s\n%s", got, same, a, b)
		}
	}
	f("", "service: {type: LoadBalancer}", true)
	f("", "config: {server: {max_in_flight: 7}}", false)
	f("", "redis: {addresses: ['redis:6379']}", false)
	f("", "admin: {token: 0123456789abcdef}", false)
	f("admin: {token: 0123456789abcdef}", "admin: {token: 0123456789abcdeg}", false)
	f("providerKeys: {values: {EVOLINK_API_KEY: a}}", "providerKeys: {values: {EVOLINK_API_KEY: b}}", false)
	f("", "podAnnotations: {checksum/config: mine}", true) // one of each name, and the chart's counts
}

func TestWhereThePodRuns(t *testing.T) {
	r := render(t, valuesFile(t, "everything"))
	f := func(path, want string) {
		t.Helper()
		r.want("StatefulSet/llm-gate", pod+"."+path, want)
	}
	f("nodeSelector", "{kubernetes.io/os: linux}")
	f("tolerations", "[{key: dedicated, operator: Equal, value: gateway, effect: NoSchedule}]")
	f("priorityClassName", "high")
	f("imagePullSecrets", "[{name: registry-login}]")
	f("serviceAccountName", "llm-gate")
	f("containers.0.image", "registry.example.com/tollgate@sha256:0000000000000000000000000000000000000000000000000000000000000000")
	f("containers.0.startupProbe",
		"{httpGet: {path: /healthz, port: admin}, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 150, terminationGracePeriodSeconds: 30}")
	f("containers.0.envFrom", "[{secretRef: {name: more-keys, optional: true}}]")
	f("containers.0.volumeMounts.3", "{name: azure-key, mountPath: /run/keys, readOnly: true}")
	f("volumes.2", "{name: azure-key, secret: {secretName: azure-key}}")
	f("topologySpreadConstraints.0.labelSelector", "{matchLabels: {app.kubernetes.io/name: gate, app.kubernetes.io/instance: tollgate}}")
	f("topologySpreadConstraints.1.labelSelector", "{matchLabels: {app: other}}")
	r.want("StatefulSet/llm-gate", "spec.template.metadata.labels",
		"{app.kubernetes.io/name: gate, app.kubernetes.io/instance: tollgate, example.com/tier: edge}")
}
