{{/* config.yaml: what the values say, and what the pod dictates. */}}

{{- define "tollgate.config" -}}
{{- include "tollgate.validate" . -}}
{{- $config := deepCopy .Values.config -}}
{{- include "tollgate.dropNulls" $config -}}
{{- $server := default dict $config.server -}}
{{- $admin := default dict $config.admin -}}
{{- $_ := set $config "server" (set $server "listen" ":8080") -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ = set $server "tls" (dict "cert" "/etc/tollgate-tls/tls.crt" "key" "/etc/tollgate-tls/tls.key") -}}
{{- end -}}
{{- $_ = set $admin "listen" ":8081" -}}
{{- $_ = set $config "admin" (set $admin "token" "${TOLLGATE_ADMIN_TOKEN:-}") -}}
{{- if not $admin.tokens -}}{{- $_ = unset $admin "tokens" -}}{{- end -}}
{{- range .Values.admin.operators.names -}}
{{- $_ = set $admin "tokens" (set (default dict $admin.tokens) . (printf "${file:/etc/tollgate-operators/%s}" .)) -}}
{{- end -}}
{{- $_ = set $config "data_dir" "/data" -}}
{{- if or .Values.pepper.value .Values.pepper.existingSecret -}}
{{- $_ = set $config "keys" (set (default dict $config.keys) "pepper" "${TOLLGATE_PEPPER}") -}}
{{- end -}}
{{- $store := omit (default dict $config.store) "redis" -}}
{{- if .Values.redis.addresses -}}
{{- $_ = set $store "redis" (include "tollgate.redis" . | fromYaml) -}}
{{- end -}}
{{- if $store -}}{{- $_ = set $config "store" $store -}}{{- else -}}{{- $_ = unset $config "store" -}}{{- end -}}
{{- $limits := default dict $config.limits -}}
{{- if and .Values.redis.addresses (not (kindIs "invalid" .Values.replicaCount)) (not (hasKey $limits "max_replicas")) -}}
{{- $_ = set $config "limits" (set $limits "max_replicas" (max 1 (int .Values.replicaCount))) -}}
{{- end -}}
{{- $text := toYaml $config -}}
{{- include "tollgate.validateReferences" (dict "root" . "text" $text) -}}
{{- $text -}}
{{- end }}

{{/*
Removes the entries of a map that are null, at every depth. Helm does so only for
those that values.yaml has: a provider of one values file that a later one sets to
null would stay, as a provider without anything.
*/}}
{{- define "tollgate.dropNulls" -}}
{{- $map := . -}}
{{- range $name := keys $map -}}
{{- $value := get $map $name -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $map $name -}}
{{- else if kindIs "map" $value -}}
{{- include "tollgate.dropNulls" $value -}}
{{- else if kindIs "slice" $value -}}
{{- range $value -}}{{- if kindIs "map" . -}}{{- include "tollgate.dropNulls" . -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A value as config.yaml writes it, where a dollar sign begins a reference. */}}
{{- define "tollgate.literal" -}}
{{- default "" . | replace "$" "$$" | quote -}}
{{- end }}

{{- define "tollgate.redis" -}}
{{- with .Values.redis -}}
addresses: {{ toJson .addresses }}
cluster: {{ .cluster }}
master_name: {{ include "tollgate.literal" .masterName }}
{{- if .masterName }}
sentinel_username: {{ include "tollgate.literal" .sentinelUsername }}
sentinel_password: "${REDIS_SENTINEL_PASSWORD:-}"
{{- end }}
username: {{ include "tollgate.literal" .username }}
password: "${REDIS_PASSWORD:-}"
db: {{ int .db }}
tls: {{ .tls }}
tls_ca: "{{ if .tlsCA.existingSecret }}/etc/tollgate-redis/{{ .tlsCA.existingSecretKey }}{{ end }}"
{{- end -}}
{{- end }}

{{/*
The environment: secrets, what the pod knows of itself, and extraEnv, which wins.
OTEL_RESOURCE_ATTRIBUTES comes last, for it refers to variables that extraEnv may set.
*/}}
{{- define "tollgate.env" -}}
{{- $values := .Values -}}
{{- $own := include "tollgate.fullname" . -}}
{{- $env := list -}}
{{- range $name, $value := $values.providerKeys.values -}}
{{- if and $values.providerKeys.existingSecret (not (kindIs "invalid" $value)) -}}
{{- $ref := dict "name" $values.providerKeys.existingSecret "key" $name "optional" true -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" $ref)) -}}
{{- else if $value -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" $own "key" $name))) -}}
{{- end -}}
{{- end -}}
{{- range include "tollgate.secrets" . | fromYamlArray -}}
{{- if .existingSecret -}}
{{- $env = append $env (dict "name" .env "valueFrom" (dict "secretKeyRef" (dict "name" .existingSecret "key" .existingSecretKey))) -}}
{{- else if .value -}}
{{- $env = append $env (dict "name" .env "valueFrom" (dict "secretKeyRef" (dict "name" $own "key" .env))) -}}
{{- end -}}
{{- end -}}
{{- range $name, $path := dict "K8S_POD_NAME" "metadata.name" "K8S_NAMESPACE_NAME" "metadata.namespace" -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "fieldRef" (dict "fieldPath" $path))) -}}
{{- end -}}
{{- with include "tollgate.goMemoryLimit" . -}}
{{- $env = append $env (dict "name" "GOMEMLIMIT" "value" .) -}}
{{- end -}}
{{- $extra := dict -}}
{{- range $values.extraEnv -}}{{- $_ := set $extra .name true -}}{{- end -}}
{{- $kept := list -}}
{{- range $env -}}
{{- if not (hasKey $extra .name) -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- $env = concat $kept (default list $values.extraEnv) -}}
{{- if not (hasKey $extra "OTEL_RESOURCE_ATTRIBUTES") -}}
{{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=$(K8S_NAMESPACE_NAME)") -}}
{{- end -}}
{{- toYaml $env -}}
{{- end }}

{{/* The names of these variables, as a map. extraEnvFrom may hold more. */}}
{{- define "tollgate.variables" -}}
{{- $set := dict -}}
{{- range include "tollgate.env" . | fromYamlArray -}}{{- $_ := set $set .name true -}}{{- end -}}
{{- toYaml $set -}}
{{- end }}

{{/* Not empty when a provider has a key, or may have one where the chart cannot look. */}}
{{- define "tollgate.hasProviderKey" -}}
{{- $providers := (include "tollgate.config" . | fromYaml).providers | toYaml -}}
{{- $set := include "tollgate.variables" . | fromYaml -}}
{{- if or .Values.providerKeys.existingSecret .Values.extraEnvFrom (contains "${file:/" $providers) -}}true{{- end -}}
{{- range regexFindAll "[$][{][A-Za-z_][A-Za-z0-9_]*" $providers -1 -}}
{{- if hasKey $set (trimPrefix "${" .) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* The secrets that have one variable each: where their value comes from. */}}
{{- define "tollgate.secrets" -}}
{{- $redis := .Values.redis -}}
{{- $sentinel := "" -}}
{{- if $redis.existingSecretSentinelKey -}}{{- $sentinel = $redis.existingSecret -}}{{- end -}}
{{- toYaml (list
  (dict "env" "TOLLGATE_ADMIN_TOKEN" "option" "admin.token" "value" .Values.admin.token
    "existingSecret" .Values.admin.existingSecret "existingSecretKey" .Values.admin.existingSecretKey)
  (dict "env" "TOLLGATE_PEPPER" "option" "pepper.value" "value" .Values.pepper.value
    "existingSecret" .Values.pepper.existingSecret "existingSecretKey" .Values.pepper.existingSecretKey)
  (dict "env" "REDIS_PASSWORD" "option" "redis.password" "value" $redis.password
    "existingSecret" $redis.existingSecret "existingSecretKey" $redis.existingSecretKey)
  (dict "env" "REDIS_SENTINEL_PASSWORD" "option" "redis.sentinelPassword" "value" $redis.sentinelPassword
    "existingSecret" $sentinel "existingSecretKey" $redis.existingSecretSentinelKey)
) -}}
{{- end }}

{{/* The data of the chart's own Secret: all secrets that stand in the values. */}}
{{- define "tollgate.secretData" -}}
{{- range $name, $value := .Values.providerKeys.values -}}
{{- if $value }}
{{ quote $name }}: {{ $value | b64enc | quote }}
{{- end -}}
{{- end -}}
{{- range include "tollgate.secrets" . | fromYamlArray -}}
{{- if .value }}
{{ .env }}: {{ .value | b64enc | quote }}
{{- end -}}
{{- end -}}
{{- end }}
