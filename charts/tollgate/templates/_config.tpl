{{/* config.yaml: what the values say, and what the pod dictates. */}}

{{- define "tollgate.config" -}}
{{- include "tollgate.validate" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := default dict $config.server -}}
{{- $admin := default dict $config.admin -}}
{{- $_ := set $config "server" (set $server "listen" ":8080") -}}
{{- $_ = set $admin "listen" ":8081" -}}
{{- $_ = set $config "admin" (set $admin "token" "${TOLLGATE_ADMIN_TOKEN:-}") -}}
{{- $_ = set $config "data_dir" "/data" -}}
{{- if or .Values.pepper.value .Values.pepper.existingSecret -}}
{{- $_ = set $config "keys" (set (default dict $config.keys) "pepper" "${TOLLGATE_PEPPER}") -}}
{{- end -}}
{{- if .Values.redis.addresses -}}
{{- $store := default dict $config.store -}}
{{- $_ = set $config "store" (set $store "redis" (include "tollgate.redis" . | fromYaml)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{- define "tollgate.redis" -}}
{{- with .Values.redis -}}
addresses: {{ toJson .addresses }}
cluster: {{ .cluster }}
master_name: {{ quote .masterName }}
{{- if .masterName }}
sentinel_username: {{ quote .sentinelUsername }}
sentinel_password: "${REDIS_SENTINEL_PASSWORD:-}"
{{- end }}
username: {{ quote .username }}
password: "${REDIS_PASSWORD:-}"
db: {{ int .db }}
tls: {{ .tls }}
tls_ca: {{ if .tlsCA.existingSecret }}/etc/tollgate-redis/{{ .tlsCA.existingSecretKey }}{{ else }}""{{ end }}
{{- end -}}
{{- end }}

{{/* The environment: secrets, what the pod knows of itself, and extraEnv, which wins. */}}
{{- define "tollgate.env" -}}
{{- $values := .Values -}}
{{- $own := include "tollgate.fullname" . -}}
{{- $env := list -}}
{{- range $name, $value := $values.providerKeys.values -}}
{{- if $values.providerKeys.existingSecret -}}
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
{{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" "k8s.pod.name=$(K8S_POD_NAME),k8s.namespace.name=$(K8S_NAMESPACE_NAME)") -}}
{{- with include "tollgate.goMemoryLimit" . -}}
{{- $env = append $env (dict "name" "GOMEMLIMIT" "value" .) -}}
{{- end -}}
{{- $extra := dict -}}
{{- range $values.extraEnv -}}{{- $_ := set $extra .name true -}}{{- end -}}
{{- $kept := list -}}
{{- range $env -}}
{{- if not (hasKey $extra .name) -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- concat $kept $values.extraEnv | toYaml -}}
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
{{ $name }}: {{ $value | b64enc }}
{{- end -}}
{{- end -}}
{{- range include "tollgate.secrets" . | fromYamlArray -}}
{{- if .value }}
{{ .env }}: {{ .value | b64enc }}
{{- end -}}
{{- end -}}
{{- end }}
