{{/* The pod's spec. */}}

{{- define "tollgate.pod" -}}
serviceAccountName: {{ include "tollgate.serviceAccountName" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "tollgate.terminationGracePeriodSeconds" . }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ quote . }}
{{- end }}
containers:
  - {{ include "tollgate.container" . | nindent 4 | trim }}
volumes:
  - name: config
    configMap:
      name: {{ include "tollgate.fullname" . | quote }}
  {{- if not .Values.persistence.enabled }}
  - name: data
    emptyDir: {}
  {{- end }}
  {{- if .Values.redis.tlsCA.existingSecret }}
  - name: redis-ca
    secret:
      secretName: {{ quote .Values.redis.tlsCA.existingSecret }}
      items:
        - key: {{ quote .Values.redis.tlsCA.existingSecretKey }}
          path: {{ quote .Values.redis.tlsCA.existingSecretKey }}
  {{- end }}
  {{- if .Values.tls.existingSecret }}
  - name: server-tls
    secret:
      secretName: {{ quote .Values.tls.existingSecret }}
      items:
        - {key: tls.crt, path: tls.crt}
        - {key: tls.key, path: tls.key}
  {{- end }}
  {{- if .Values.admin.operators.names }}
  - name: operators
    secret:
      secretName: {{ quote .Values.admin.operators.existingSecret }}
      items:
        {{- range .Values.admin.operators.names }}
        - {key: {{ quote . }}, path: {{ quote . }}}
        {{- end }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $constraint := deepCopy . }}
  {{- if not .labelSelector }}
  {{- $_ := set $constraint "labelSelector" (dict "matchLabels" (include "tollgate.selectorLabels" $ | fromYaml)) }}
  {{- end }}
  - {{ toYaml $constraint | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
What replaces the pods when it changes: config.yaml, and the secrets in the
values. The checksums are the chart's, whatever podAnnotations says of them.
limits.max_replicas is left out: it follows replicaCount, and to scale replaces nobody.
*/}}
{{- define "tollgate.podAnnotations" -}}
{{- $config := include "tollgate.config" . | fromYaml -}}
{{- $_ := set $config "limits" (omit (default dict $config.limits) "max_replicas") -}}
{{- $own := dict "checksum/config" (toYaml $config | sha256sum) -}}
{{- with include "tollgate.secretData" . | trim -}}
{{- $_ := set $own "checksum/secret" (sha256sum .) -}}
{{- end -}}
{{- merge $own (default dict .Values.podAnnotations) | toYaml -}}
{{- end }}

{{- define "tollgate.container" -}}
name: tollgate
image: {{ include "tollgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, -c, /etc/tollgate/config.yaml]
# The command line finds the admin token in ./data, which is /data from here.
workingDir: /
env:
  {{- include "tollgate.env" . | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ include "tollgate.scheme" . }}
    containerPort: 8080
  - name: admin
    containerPort: 8081
{{- range $probe, $path := dict "startupProbe" "/healthz" "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
{{- with index $.Values $probe }}
{{ $probe }}:
  httpGet: {path: {{ $path }}, port: admin}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- $preStop := include "tollgate.preStopSeconds" . | int }}
{{- if gt $preStop 0 }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $preStop }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/tollgate
    readOnly: true
  - name: data
    mountPath: /data
  {{- if .Values.redis.tlsCA.existingSecret }}
  - name: redis-ca
    mountPath: /etc/tollgate-redis
    readOnly: true
  {{- end }}
  {{- if .Values.tls.existingSecret }}
  # The whole volume, no subPath: that would never see a new certificate.
  - name: server-tls
    mountPath: /etc/tollgate-tls
    readOnly: true
  {{- end }}
  {{- if .Values.admin.operators.names }}
  - name: operators
    mountPath: /etc/tollgate-operators
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
