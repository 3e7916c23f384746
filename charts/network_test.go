package charts

import (
	"fmt"
	"strings"
	"testing"
)

// TestSelectorsMeetThePods: what selects pods selects these, by ports that they have.
func TestSelectorsMeetThePods(t *testing.T) {
	f := func(file, name string) {
		t.Helper()
		r := render(t, valuesFile(t, file))
		set := r.object("StatefulSet/" + name)
		labels, _ := at(set, "spec.template.metadata.labels").(map[string]any)
		selects := func(what string, selector any) {
			t.Helper()
			chosen, _ := selector.(map[string]any)
			if len(chosen) == 0 {
				t.Errorf("%s: %s selects everything", file, what)
			}
			for label, value := range chosen {
				if labels[label] != value {
					t.Errorf("%s: %s wants %s=%v, the pods have %v", file, what, label, value, labels[label])
				}
			}
		}
		ports := r.ports(name)
		selects("the StatefulSet", at(set, "spec.selector.matchLabels"))
		for service, object := range r.ofKind("Service") {
			selects("the Service "+service, at(object, "spec.selector"))
			target := fmt.Sprint(at(object, "spec.ports.0.targetPort"))
			if want := portFor(service); ports[target] != want || at(object, "spec.ports.1") != nil {
				t.Errorf("%s: the Service %s leads to the port %s, want %s of %v", file, service, target, want, ports)
			}
		}
		for kind, path := range map[string]string{"PodDisruptionBudget": "spec.selector.matchLabels", "NetworkPolicy": "spec.podSelector.matchLabels"} {
			for _, object := range r.ofKind(kind) {
				selects("the "+kind, at(object, path))
			}
		}
		r.want("StatefulSet/"+name, "spec.serviceName", name+"-headless")
		r.want("Service/"+name+"-headless", "spec.clusterIP", "None")
	}
	f("defaults", "tollgate")
	f("fleet", "tollgate")
	f("everything", "llm-gate")
}

// ports returns the container's ports by their names.
func (r release) ports(name string) map[string]string {
	all := make(map[string]string)
	list, _ := at(r.object("StatefulSet/"+name), container+".ports").([]any)
	for _, port := range list {
		all[fmt.Sprint(at(port, "name"))] = fmt.Sprint(at(port, "containerPort"))
	}
	return all
}

func portFor(service string) string {
	if strings.HasSuffix(service, "-admin") {
		return "8081"
	}
	return "8080"
}

func TestServices(t *testing.T) {
	r := render(t, "")
	r.want("Service/tollgate", "spec.ports", "[{name: http, port: 80, targetPort: http}]")
	r.want("Service/tollgate", "spec.type", "ClusterIP")
	r.want("Service/tollgate-admin", "spec.ports", "[{name: admin, port: 8081, targetPort: admin}]")
	r.want("Service/tollgate-admin", "spec.publishNotReadyAddresses", "true") // a pod that drains has metrics to the end
	r.want("Service/tollgate", "spec.publishNotReadyAddresses", "")
	r = render(t, valuesFile(t, "everything"))
	r.want("Service/llm-gate", "spec.ports", "[{name: https, port: 8080, targetPort: https, appProtocol: https, nodePort: 30080}]")
	r.want("Service/llm-gate", "spec.type", "LoadBalancer")
	r.want("Service/llm-gate-admin", "spec.type", "ClusterIP")
	r.want("Service/llm-gate-headless", "spec.type", "ClusterIP")
}

// TestOperatorsStayInside: nothing that leads in from outside names the admin Service or its port.
func TestOperatorsStayInside(t *testing.T) {
	r := render(t, valuesFile(t, "everything"))
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		for name, object := range r.ofKind(kind) {
			if text := fmt.Sprint(at(object, "spec")); strings.Contains(text, "admin") || strings.Contains(text, "8081") {
				t.Errorf("%s/%s: %s", kind, name, text)
			}
		}
	}
	backend := "{service: {name: llm-gate, port: {name: https}}}"
	r.want("Ingress/llm-gate", "spec.rules", `
- host: llm.example.com
  http: {paths: [{path: /v1/, pathType: Prefix, backend: `+backend+`}]}
- host: llm.example.org
  http: {paths: [{path: /v1/chat/completions, pathType: Exact, backend: `+backend+`}]}`)
	r.want("Ingress/llm-gate", "spec.ingressClassName", "nginx")
	r.want("HTTPRoute/llm-gate", "spec.rules", `
- matches: [{path: {type: PathPrefix, value: /v1}}]
  timeouts: {request: 1800s}
  backendRefs: [{name: llm-gate, port: 8080}]`)
}

func TestNetworkPolicy(t *testing.T) {
	if all := render(t, "").ofKind("NetworkPolicy"); len(all) > 0 {
		t.Errorf("there by default: %v", all)
	}
	r := render(t, "networkPolicy: {enabled: true}")
	r.want("NetworkPolicy/tollgate", "spec.policyTypes", "[Ingress]")
	r.want("NetworkPolicy/tollgate", "spec.ingress", "[{ports: [{port: http, protocol: TCP}]}]") // nobody reaches admin
	r = render(t, "networkPolicy: {enabled: true, publicFrom: [{podSelector: {}}], adminFrom: [{podSelector: {matchLabels: {a: b}}}], egress: [{}]}")
	r.want("NetworkPolicy/tollgate", "spec", `
podSelector: {matchLabels: {app.kubernetes.io/name: tollgate, app.kubernetes.io/instance: tollgate}}
policyTypes: [Ingress, Egress]
ingress:
- {ports: [{port: http, protocol: TCP}], from: [{podSelector: {}}]}
- {ports: [{port: admin, protocol: TCP}], from: [{podSelector: {matchLabels: {a: b}}}]}
egress: [{}]`)
}

func TestDisruptionBudget(t *testing.T) {
	f := func(budget, path, want string) {
		t.Helper()
		r := render(t, "podDisruptionBudget: "+budget)
		r.want("PodDisruptionBudget/tollgate", "spec."+path, want)
	}
	f("{}", "maxUnavailable", "1")
	f("{}", "minAvailable", "")
	f("{minAvailable: 2}", "minAvailable", "2")
	f("{minAvailable: 2}", "maxUnavailable", "")
	f("{maxUnavailable: 0}", "maxUnavailable", "0")
	f("{maxUnavailable: 25%}", "maxUnavailable", "25%")
	f("{enabled: false}", "selector", "")
}

// TestServiceMonitor: Prometheus finds the admin Service and no other.
func TestServiceMonitor(t *testing.T) {
	r := render(t, valuesFile(t, "everything"))
	r.want("ServiceMonitor/llm-gate", "spec.endpoints.0.port", "admin")
	r.want("ServiceMonitor/llm-gate", "spec.endpoints.0.path", "/metrics")
	labels, _ := at(r.object("ServiceMonitor/llm-gate"), "metadata.labels").(map[string]any)
	if labels["release"] != "prometheus" {
		t.Errorf("labels %v, want release: prometheus", labels)
	}
	chosen, _ := at(r.object("ServiceMonitor/llm-gate"), "spec.selector.matchLabels").(map[string]any)
	var found []string
	for name, service := range r.ofKind("Service") {
		labels, _ := at(service, "metadata.labels").(map[string]any)
		match := true
		for label, value := range chosen {
			match = match && labels[label] == value
		}
		if match {
			found = append(found, name)
		}
	}
	if len(found) != 1 || found[0] != "llm-gate-admin" {
		t.Errorf("it selects the Services %v", found)
	}

	r = render(t, "serviceMonitor: {enabled: true, labels: {app.kubernetes.io/instance: prometheus}}") // once, and the user's
	r.want("ServiceMonitor/tollgate", "metadata.labels", `
helm.sh/chart: tollgate-0.1.0
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: prometheus
app.kubernetes.io/version: 0.1.0
app.kubernetes.io/managed-by: Helm`)
}

func TestNames(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		sets := render(t, values).ofKind("StatefulSet")
		if sets[want] == nil {
			t.Errorf("%s: got %v, want %s", values, sets, want)
		}
	}
	f("", "tollgate")
	f("{nameOverride: a.b, fullnameOverride: gw}", "gw")
	f("nameOverride: llm", "tollgate-llm")
	f("fullnameOverride: gw", "gw")
	// Fifty characters: a revision's hash and "-headless" still fit into a label.
	f("fullnameOverride: "+strings.Repeat("n", 70), strings.Repeat("n", 50))
	f("fullnameOverride: "+strings.Repeat("n", 48)+"--n", strings.Repeat("n", 48))
}

// TestNamesStayText: what YAML could take for a number is text where Kubernetes wants text.
func TestNamesStayText(t *testing.T) {
	values := `
nameOverride: "2024"
fullnameOverride: gw
priorityClassName: "7"
service: {type: LoadBalancer, loadBalancerClass: "9"}
serviceAccount: {name: "42"}
serviceMonitor: {enabled: true, interval: "30", scrapeTimeout: "10"}
persistence: {storageClass: "1e3", size: "10"}
ingress: {enabled: true, className: "8"}
image: {repository: "12", tag: "34"}
imagePullSecrets: [{name: "5"}]
redis: {addresses: ['r:1'], tls: true, tlsCA: {existingSecret: "6", existingSecretKey: "0x1"}}
podLabels: {tier: "1"}
podAnnotations: {owner: "0"}`
	r := renderAs(t, "1e3", "7e2", values)
	f := func(object, path, want string) {
		t.Helper()
		if got := at(r.object(object), path); got != want {
			t.Errorf("%s %s: got %T %v, want the text %s", object, path, got, got, want)
		}
	}
	const set, spec = "StatefulSet/gw", pod
	for _, label := range []string{"spec.selector.matchLabels", "spec.template.metadata.labels", "metadata.labels"} {
		labels, _ := at(r.object(set), label).(map[string]any)
		if labels["app.kubernetes.io/instance"] != "1e3" || labels["app.kubernetes.io/name"] != "2024" {
			t.Errorf("%s: %#v", label, labels)
		}
	}
	f(set, spec+".priorityClassName", "7")
	f(set, spec+".serviceAccountName", "42")
	f(set, container+".image", "12:34")
	f(set, spec+".imagePullSecrets.0.name", "5")
	f(set, spec+".volumes.1.secret.secretName", "6")
	f(set, spec+".volumes.1.secret.items.0.key", "0x1")
	f(set, "spec.template.metadata.annotations.owner", "0")
	f(set, "spec.volumeClaimTemplates.0.spec.storageClassName", "1e3")
	f(set, "spec.volumeClaimTemplates.0.spec.resources.requests.storage", "10")
	f("ServiceAccount/42", "metadata.name", "42")
	f("Service/gw", "spec.loadBalancerClass", "9")
	f("Service/gw", "metadata.namespace", "7e2")
	f("ServiceMonitor/gw", "spec.endpoints.0.interval", "30")
	f("ServiceMonitor/gw", "spec.endpoints.0.scrapeTimeout", "10")
	f("Ingress/gw", "spec.ingressClassName", "8")
}
