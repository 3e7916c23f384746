package charts

import "testing"

// TestTLSFromASecret: the files of the Secret are there, and the gateway is told.
func TestTLSFromASecret(t *testing.T) {
	r := render(t, "tls: {existingSecret: web-tls}")
	r.wantConfig("server.tls", "{cert: /etc/tollgate-tls/tls.crt, key: /etc/tollgate-tls/tls.key}")
	// Not a subPath: the kubelet never renews those.
	r.want(statefulSet, container+".volumeMounts.2", "{name: server-tls, mountPath: /etc/tollgate-tls, readOnly: true}")
	r.want(statefulSet, pod+".volumes.1", `
name: server-tls
secret: {secretName: web-tls, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}`)
	r.want(statefulSet, container+".ports", "[{name: https, containerPort: 8080}, {name: admin, containerPort: 8081}]")
	r.want("Service/tollgate", "spec.ports", "[{name: https, port: 443, targetPort: https, appProtocol: https}]")
	r.want("Service/tollgate-headless", "spec.ports", "[{name: https, port: 8080, targetPort: https, appProtocol: https}]")

	// The operators' listener has no certificate, and the probes ask that one.
	r.want("Service/tollgate-admin", "spec.ports", "[{name: admin, port: 8081, targetPort: admin}]")
	r.want(statefulSet, container+".startupProbe.httpGet", "{path: /healthz, port: admin}")
	r.want(statefulSet, container+".livenessProbe.httpGet", "{path: /healthz, port: admin}")
	r.want(statefulSet, container+".readinessProbe.httpGet", "{path: /readyz, port: admin}")
}

// TestTLSFromOtherFiles: a volume of the operator's own, from a CSI driver for example.
func TestTLSFromOtherFiles(t *testing.T) {
	r := render(t, `
config: {server: {tls: {cert: /run/tls/cert.pem, key: /run/tls/key.pem}}}
extraVolumes: [{name: identity, csi: {driver: csi.example.com}}]
extraVolumeMounts: [{name: identity, mountPath: /run/tls, readOnly: true}]`)
	r.wantConfig("server.tls", "{cert: /run/tls/cert.pem, key: /run/tls/key.pem}")
	r.want(statefulSet, pod+".volumes.1", "{name: identity, csi: {driver: csi.example.com}}")
	r.want("Service/tollgate", "spec.ports", "[{name: https, port: 443, targetPort: https, appProtocol: https}]")
}

// TestTLSNamesThePort: whatever leads to the public port names it as it is.
func TestTLSNamesThePort(t *testing.T) {
	f := func(values, port, number string) {
		t.Helper()
		r := render(t, values, "{ingress: {enabled: true}, networkPolicy: {enabled: true}, httpRoute: {enabled: true, parentRefs: [{name: g}]}}")
		r.want("Ingress/tollgate", "spec.rules.0.http.paths.0.backend.service.port", "{name: "+port+"}")
		r.want("NetworkPolicy/tollgate", "spec.ingress.0.ports", "[{port: "+port+", protocol: TCP}]")
		r.want("HTTPRoute/tollgate", "spec.rules.0.backendRefs", "[{name: tollgate, port: "+number+"}]")
		r.want("Service/tollgate", "spec.ports.0.name", port)
		r.want("Service/tollgate", "spec.ports.0.targetPort", port)
		r.want("Service/tollgate", "spec.ports.0.port", number)
		r.want(statefulSet, container+".ports.0.name", port)
	}
	f("", "http", "80")
	f("config: {server: {tls: {cert: '', key: ''}}}", "http", "80") // as the repository's config.yaml says
	f("config: {server: null}", "http", "80")
	f("service: {port: 8080}", "http", "8080")
	f("tls: {existingSecret: s}", "https", "443")
	f("{tls: {existingSecret: s}, config: {server: {tls: {cert: '', key: ''}}}}", "https", "443")
	f("{tls: {existingSecret: s}, service: {port: 80}}", "https", "80")
}

// TestARenewedCertificateIsNoRollout: the gateway reads it again by itself.
func TestARenewedCertificateIsNoRollout(t *testing.T) {
	r := render(t, "tls: {existingSecret: s}")
	annotations, _ := at(r.object(statefulSet), "spec.template.metadata.annotations").(map[string]any)
	if len(annotations) != 1 || annotations["checksum/config"] == nil {
		t.Errorf("the pod's annotations are %v, want the checksum of its configuration alone", annotations)
	}
}

func TestTLSInTheNotes(t *testing.T) {
	const (
		ingress = "WARNING: the pods speak HTTPS, so the ingress must too."
		gateway = "WARNING: the pods speak HTTPS, so the gateway must too: it needs a BackendTLSPolicy for the Service tollgate"
		nginx   = "ingress.annotations: nginx.ingress.kubernetes.io/backend-protocol: HTTPS"
	)
	f := notesTest(t)
	f("tls: {existingSecret: s}", "kubectl -n llm port-forward service/tollgate 8080:443\n\n   and in another (-k: the certificate is for another name than 127.0.0.1)\n\n   curl -k https://127.0.0.1:8080/v1/models", true)
	f("tls: {existingSecret: s}", "curl -k https://127.0.0.1:8080/v1/chat/completions", true)
	f("tls: {existingSecret: s}", "curl http://127.0.0.1:8081/metrics", true)
	f("", "https", false)
	f("", "-k", false)
	f("{tls: {existingSecret: s}, ingress: {enabled: true}}", ingress, true)
	f("{tls: {existingSecret: s}, ingress: {enabled: true, annotations: null}}", nginx, true)
	f("{tls: {existingSecret: s}, ingress: {enabled: true, annotations: {nginx.ingress.kubernetes.io/backend-protocol: HTTPS}}}", ingress, false)
	f("tls: {existingSecret: s}", ingress, false)
	f("ingress: {enabled: true}", ingress, false)
	f("{tls: {existingSecret: s}, httpRoute: {enabled: true, parentRefs: [{name: g}]}}", gateway, true)
	f("httpRoute: {enabled: true, parentRefs: [{name: g}]}", gateway, false)
}
