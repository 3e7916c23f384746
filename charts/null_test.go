package charts

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// openFleet leaves the number of replicas to somebody else.
const openFleet = "{replicaCount: null, redis: {addresses: ['r:1']}, admin: {existingSecret: s}}"

func TestReplicasLeftToOthers(t *testing.T) {
	spec, _ := at(render(t, openFleet).object(statefulSet), "spec").(map[string]any)
	if replicas, there := spec["replicas"]; there || len(spec) == 0 {
		t.Errorf("replicas: %v is there, and an upgrade would undo what an autoscaler chose", replicas)
	}
	render(t, "replicaCount: 0").want(statefulSet, "spec.replicas", "0")
}

// TestNullRemoves: an entry that one values file adds, a later one can take away.
func TestNullRemoves(t *testing.T) {
	base := `
config:
  providers: {azure: {contract: openai, endpoints: [{url: "https://a", api_keys: ["${AZURE_API_KEY}"]}]}}
  models: {gpt: {targets: [{provider: azure}]}}
  telemetry: {log_level: debug}
providerKeys: {values: {AZURE_API_KEY: k}}`
	f := func(over string) {
		t.Helper()
		r := render(t, base, over)
		if text := r.config("tollgate"); strings.Contains(text, "null") || strings.Contains(text, "azure") || strings.Contains(text, "gpt:") {
			t.Errorf("%s: is still there:\n%s", over, text)
		}
	}
	f("{config: {providers: {azure: null}, models: {gpt: null}}}")
	f("{config: {providers: {azure: null}, models: {gpt: null}, telemetry: null}}")
	f("{config: {providers: {azure: null}, models: {gpt: null}}, providerKeys: {values: {AZURE_API_KEY: null}}}")
	f("{config: {providers: {azure: null}, models: {gpt: null}}, providerKeys: {existingSecret: s, values: {AZURE_API_KEY: null}}}")

	r := render(t, base, "{config: {models: {gpt: {timeouts: null, max_attempts: null}}}}")
	var got any
	if err := yaml.Unmarshal([]byte(r.config("tollgate")), &got); err != nil {
		t.Fatal(err)
	}
	if gpt, _ := at(got, "models.gpt").(map[string]any); len(gpt) != 1 {
		t.Errorf("models.gpt is %v, want its targets alone", gpt)
	}
}

// TestNullSections: what the chart cannot do without is named, not followed by a trace of the template.
func TestNullSections(t *testing.T) {
	refused := func(values, want string) {
		t.Helper()
		_, complaint, err := template(t, values)
		if err == nil || !strings.Contains(complaint, want) || !strings.Contains(complaint, "specifications of the schema") {
			t.Errorf("%s\n got %v: %s\nwant %s", values, err, complaint, want)
		}
	}
	for _, section := range []string{
		"config", "providerKeys", "admin", "pepper", "redis", "persistence", "image", "serviceAccount", "tls", "service",
		"ingress", "httpRoute", "networkPolicy", "podDisruptionBudget", "serviceMonitor", "prometheusRule",
	} {
		refused(section+": null", "missing property '"+section+"'")
	}
	refused("service: {type: null}", "missing property 'type'")
	refused("persistence: {size: null, accessModes: null}", "missing properties 'size', 'accessModes'")
	refused("redis: {tlsCA: null}", "missing property 'tlsCA'")
	refused("ingress: {enabled: true, hosts: null}", "missing property 'hosts'")
	refused("httpRoute: {enabled: true, parentRefs: null}", "missing property 'parentRefs'")
	refused("image: {repository: null}", "missing property 'repository'")
	refused("admin: {existingSecretKey: null}", "missing property 'existingSecretKey'")
}

// TestNullIsNothing: what may be left out may be null.
func TestNullIsNothing(t *testing.T) {
	r := render(t, `
startupProbe: null
livenessProbe: null
readinessProbe: null
resources: null
podSecurityContext: null
securityContext: null
updateStrategy: null
preStopSeconds: null
redis: {addresses: null, username: null, masterName: null, db: null}
persistence: {retention: null, storageClass: null, annotations: null}
image: {tag: null, digest: null}
service: {annotations: null, port: null}
tls: {existingSecret: null}
config: {server: {tls: null}}
providerKeys: {values: null}
extraEnv: null
extraEnvFrom: null
extraVolumes: null
extraVolumeMounts: null
extraObjects: null
podAnnotations: null
podLabels: null
nodeSelector: null
tolerations: null
affinity: null
priorityClassName: null
topologySpreadConstraints: null
nameOverride: null
fullnameOverride: null
imagePullSecrets: null
serviceMonitor: {enabled: true, labels: null}
prometheusRule: {enabled: true, labels: null, alertLabels: null, selector: null}`)
	for _, name := range []string{"startupProbe", "livenessProbe", "readinessProbe", "resources", "securityContext"} {
		if c, _ := at(r.object(statefulSet), container).(map[string]any); c["name"] != "tollgate" || c[name] != nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	r.want(statefulSet, "spec.template.metadata.labels", "{app.kubernetes.io/name: tollgate, app.kubernetes.io/instance: tollgate}")
}
