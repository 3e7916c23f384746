{{/* The pod's spec. */}}

{{- define "tollgate.pod" -}}
serviceAccountName: {{ include "tollgate.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "tollgate.terminationGracePeriodSeconds" . }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
containers:
  - {{ include "tollgate.container" . | nindent 4 | trim }}
volumes:
  - name: config
    configMap:
      name: {{ include "tollgate.fullname" . }}
  {{- if not .Values.persistence.enabled }}
  - name: data
    emptyDir: {}
  {{- end }}
  {{- if .Values.redis.tlsCA.existingSecret }}
  - name: redis-ca
    secret:
      secretName: {{ .Values.redis.tlsCA.existingSecret }}
      items:
        - key: {{ .Values.redis.tlsCA.existingSecretKey }}
          path: {{ .Values.redis.tlsCA.existingSecretKey }}
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

{{- define "tollgate.container" -}}
name: tollgate
image: {{ include "tollgate.image" . }}
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
  - name: http
    containerPort: 8080
  - name: admin
    containerPort: 8081
startupProbe:
  httpGet: {path: /healthz, port: admin}
  {{- toYaml .Values.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml .Values.readinessProbe | nindent 2 }}
{{- if gt (int .Values.preStopSeconds) 0 }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int .Values.preStopSeconds }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
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
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
