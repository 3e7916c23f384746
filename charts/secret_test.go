package charts

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// variable is one of the container's: its name, and its value or where that comes from.
type variable struct{ name, from string }

func (v variable) isSecret() bool { return strings.HasPrefix(v.from, "Secret ") }

func (r release) environment(name string) []variable {
	r.t.Helper()
	list, ok := at(r.object("StatefulSet/"+name), container+".env").([]any)
	if !ok {
		r.t.Fatalf("StatefulSet/%s has no environment", name)
	}
	var all []variable
	for _, entry := range list {
		v := variable{name: fmt.Sprint(at(entry, "name")), from: fmt.Sprint(at(entry, "value"))}
		if secret, ok := at(entry, "valueFrom.secretKeyRef").(map[string]any); ok {
			v.from = fmt.Sprintf("Secret %s %s", secret["name"], secret["key"])
			if secret["optional"] == true {
				v.from += " optional"
			}
		} else if field := at(entry, "valueFrom.fieldRef.fieldPath"); field != nil {
			v.from = fmt.Sprint(field)
		}
		all = append(all, v)
	}
	return all
}

func TestEnvironment(t *testing.T) {
	f := func(values, name string, want ...variable) {
		t.Helper()
		got := render(t, values).environment(name)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(variable{})); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	f(valuesFile(t, "defaults"), "tollgate",
		variable{"STARMAGIC_API_KEY", "Secret tollgate STARMAGIC_API_KEY"},
		variable{"K8S_NAMESPACE_NAME", "metadata.namespace"},
		variable{"K8S_POD_NAME", "metadata.name"},
		variable{"GOMEMLIMIT", "966367641"},
		variable{"OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=$(K8S_NAMESPACE_NAME)"})
	f(valuesFile(t, "fleet"), "tollgate",
		variable{"EVOLINK_API_KEY", "Secret llm-provider-keys EVOLINK_API_KEY optional"},
		variable{"STARMAGIC_API_KEY", "Secret llm-provider-keys STARMAGIC_API_KEY optional"},
		variable{"THETURBO_API_KEY", "Secret llm-provider-keys THETURBO_API_KEY optional"},
		variable{"TOLLGATE_ADMIN_TOKEN", "Secret tollgate-operators admin-token"},
		variable{"TOLLGATE_PEPPER", "Secret tollgate-operators pepper"},
		variable{"REDIS_PASSWORD", "Secret tollgate-redis redis-password"},
		variable{"REDIS_SENTINEL_PASSWORD", "Secret tollgate-redis sentinel-password"},
		variable{"K8S_NAMESPACE_NAME", "metadata.namespace"},
		variable{"K8S_POD_NAME", "metadata.name"},
		variable{"GOMEMLIMIT", "966367641"},
		variable{"OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=$(K8S_NAMESPACE_NAME)"})
}

// An entry of extraEnv stands in place of the chart's own, and can refer to the others.
func TestExtraEnvironmentWins(t *testing.T) {
	r := render(t, "extraEnv: [{name: GOMEMLIMIT, value: 100MiB}, {name: OTEL_RESOURCE_ATTRIBUTES, value: a=$(K8S_POD_NAME)}]")
	want := []variable{
		{"K8S_NAMESPACE_NAME", "metadata.namespace"},
		{"K8S_POD_NAME", "metadata.name"},
		{"GOMEMLIMIT", "100MiB"},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=$(K8S_POD_NAME)"},
	}
	if diff := cmp.Diff(want, r.environment("tollgate"), cmp.AllowUnexported(variable{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// What refers to a variable comes after it, whoever sets that.
	r = render(t, "extraEnv: [{name: K8S_POD_NAME, value: mine}]")
	want = []variable{
		{"K8S_NAMESPACE_NAME", "metadata.namespace"},
		{"GOMEMLIMIT", "966367641"},
		{"K8S_POD_NAME", "mine"},
		{"OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=$(K8S_NAMESPACE_NAME)"},
	}
	if diff := cmp.Diff(want, r.environment("tollgate"), cmp.AllowUnexported(variable{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestConfigNamesTheVariables: every secret of the environment is used by
// config.yaml under the same name, and every variable that it needs is there.
func TestConfigNamesTheVariables(t *testing.T) {
	reference := regexp.MustCompile(`\$\{(\w+)(:-)?\}`)
	f := func(file, name string) {
		t.Helper()
		r := render(t, valuesFile(t, file))
		var named, needed, set []string
		for _, m := range reference.FindAllStringSubmatch(r.config(name), -1) {
			named = append(named, m[1])
			if m[2] == "" {
				needed = append(needed, m[1])
			}
		}
		for _, v := range r.environment(name) {
			set = append(set, v.name)
			if v.isSecret() && !slices.Contains(named, v.name) {
				t.Errorf("%s: config.yaml does not name the secret %s", file, v.name)
			}
		}
		for _, n := range needed {
			if !slices.Contains(set, n) {
				t.Errorf("%s: config.yaml needs %s, which is not set", file, n)
			}
		}
	}
	f("defaults", "tollgate")
	f("fleet", "tollgate")
	f("everything", "llm-gate")
}

// TestSecretsStayInTheSecret looks for every secret of the values in every object.
func TestSecretsStayInTheSecret(t *testing.T) {
	out, complaint, err := template(t, valuesFile(t, "everything"))
	if err != nil {
		t.Fatal(err, complaint)
	}
	documents := strings.Split(out, "\n---\n")
	for _, secret := range []string{
		"sk-everything-starmagic", "sk-everything-azure", "everything-admin-token", "everything-key-pepper", "everything-redis-password",
	} {
		if strings.Contains(out, secret) {
			t.Errorf("%s is there for all to read", secret)
		}
		var holders []string
		for _, document := range documents {
			if strings.Contains(document, base64.StdEncoding.EncodeToString([]byte(secret))) {
				holders = append(holders, regexp.MustCompile(`(?m)^kind: .*`).FindString(document))
			}
		}
		if !slices.Equal(holders, []string{"kind: Secret"}) {
			t.Errorf("%s is in %q, want one Secret", secret, holders)
		}
	}
}

// TestOperators: each has a file of its token, and config.yaml names it.
func TestOperators(t *testing.T) {
	r := render(t, "admin: {operators: {existingSecret: people, names: [alice, ci.1]}}", "config: {admin: {tokens: {bob: '${BOB}'}}}", "extraEnv: [{name: BOB, value: b}]")
	r.wantConfig("admin", `{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}',
  tokens: {alice: '${file:/etc/tollgate-operators/alice}', bob: '${BOB}', ci.1: '${file:/etc/tollgate-operators/ci.1}'}}`)
	r.want(statefulSet, container+".volumeMounts.2", "{name: operators, mountPath: /etc/tollgate-operators, readOnly: true}")
	r.want(statefulSet, pod+".volumes.1", `
name: operators
secret: {secretName: people, items: [{key: alice, path: alice}, {key: ci.1, path: ci.1}]}`)

	r = render(t, "config: {admin: {tokens: {}}}") // as the repository's config.yaml says
	r.wantConfig("admin", "{listen: ':8081', token: '${TOLLGATE_ADMIN_TOKEN:-}'}")
	r.want(statefulSet, container+".volumeMounts.2", "")
}

func TestSecretHoldsWhatTheValuesHold(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		r := render(t, values)
		r.want("Secret/tollgate", "data", want)
	}
	f("", "")                     // no Secret
	f(valuesFile(t, "fleet"), "") // existing ones
	f("admin: {token: 0123456789abcdef}", "{TOLLGATE_ADMIN_TOKEN: MDEyMzQ1Njc4OWFiY2RlZg==}")
	f("{redis: {addresses: ['r:1'], masterName: m, password: a, sentinelPassword: b}}", "{REDIS_PASSWORD: YQ==, REDIS_SENTINEL_PASSWORD: Yg==}")
	f("providerKeys: {values: {OTHER_API_KEY: 'quoted \" and $'}}", "{OTHER_API_KEY: cXVvdGVkICIgYW5kICQ=}")
}
