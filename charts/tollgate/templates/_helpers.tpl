{{/* Names and labels. What prints a name quotes it: a release may be called 123. */}}

{{- define "tollgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimAll "-." }}
{{- end }}

{{/* At most 50 characters: "-headless" and the hash of a revision must fit behind it in 63. */}}
{{- define "tollgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimAll "-." }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimAll "-." }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimAll "-." }}
{{- end }}
{{- end }}

{{- define "tollgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tollgate.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What never changes in the life of a release: selectors, and the labels of volume claims. */}}
{{- define "tollgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tollgate.name" . | quote }}
app.kubernetes.io/instance: {{ quote .Release.Name }}
{{- end }}

{{- define "tollgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-." | quote }}
{{ include "tollgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ quote .Release.Service }}
{{- end }}

{{/*
What the public API speaks, and the name of its port, of containers as of Services. When
it changes, a pod that still speaks the other one has no port of that name, and gets no request.
*/}}
{{- define "tollgate.scheme" -}}
{{- $files := default dict (default dict .Values.config.server).tls -}}
{{- ternary "http" "https" (and (empty .Values.tls.existingSecret) (empty $files.cert)) -}}
{{- end }}

{{- define "tollgate.servicePort" -}}
{{- if not (kindIs "invalid" .Values.service.port) -}}
{{- int .Values.service.port -}}
{{- else -}}
{{- eq (include "tollgate.scheme" .) "https" | ternary 443 80 -}}
{{- end -}}
{{- end }}

{{- define "tollgate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}
