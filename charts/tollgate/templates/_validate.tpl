{{/* What no schema can say. Each message names the value and what to do next. */}}

{{- define "tollgate.validate" -}}
{{- include "tollgate.validateFleet" . -}}
{{- include "tollgate.validateSecrets" . -}}
{{- include "tollgate.validateConfig" . -}}
{{- include "tollgate.validateReferences" . -}}
{{- end }}

{{- define "tollgate.validateFleet" -}}
{{- $redis := .Values.redis -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- if not $redis.addresses -}}
{{- fail (printf "replicaCount: %d replicas need a Redis, for the embedded store belongs to one process: set redis.addresses, or replicaCount to 1" (int .Values.replicaCount)) -}}
{{- end -}}
{{- if not (or .Values.admin.token .Values.admin.existingSecret) -}}
{{- fail (printf "admin.token: %d replicas need one token, for each would make its own: set admin.existingSecret (or admin.token)" (int .Values.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- if and (not $redis.addresses) (or $redis.cluster $redis.masterName $redis.username $redis.password $redis.existingSecret $redis.tls) -}}
{{- fail "redis.addresses: must name a server where other options of redis are set" -}}
{{- end -}}
{{- if and $redis.tlsCA.existingSecret (not $redis.tls) -}}
{{- fail "redis.tls: must be true where redis.tlsCA.existingSecret is set" -}}
{{- end -}}
{{- if and $redis.cluster $redis.masterName -}}
{{- fail "redis.cluster: redis.masterName says that the addresses are Sentinels, so they cannot be a Cluster's; drop one of the two" -}}
{{- end -}}
{{- if and (not $redis.masterName) (or $redis.sentinelUsername $redis.sentinelPassword $redis.existingSecretSentinelKey) -}}
{{- fail "redis.masterName: must be set where a Sentinel's login is" -}}
{{- end -}}
{{- if and $redis.existingSecretSentinelKey (not $redis.existingSecret) -}}
{{- fail "redis.existingSecret: must name the Secret of redis.existingSecretSentinelKey" -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- fail "podDisruptionBudget: set minAvailable or maxUnavailable, not both" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tollgate.validateSecrets" -}}
{{- range include "tollgate.secrets" . | fromYamlArray -}}
{{- if and .value .existingSecret -}}
{{- fail (printf "%s: is set beside the existingSecret %q; keep one of the two" .option .existingSecret) -}}
{{- end -}}
{{- end -}}
{{- $keys := .Values.providerKeys -}}
{{- if $keys.existingSecret -}}
{{- range $name, $value := $keys.values -}}
{{- if $value -}}
{{- fail (printf "providerKeys.values.%s: is set beside providerKeys.existingSecret %q; leave the value empty, it is read from that Secret" $name $keys.existingSecret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* No secret in config: it becomes a ConfigMap, which many may read. */}}
{{- define "tollgate.validateConfig" -}}
{{- $config := .Values.config -}}
{{- if not (has (default dict $config.admin).token (list nil "" "${TOLLGATE_ADMIN_TOKEN}" "${TOLLGATE_ADMIN_TOKEN:-}")) -}}
{{- fail "config.admin.token: the chart sets it, and a ConfigMap is no place for a secret: use admin.existingSecret or admin.token" -}}
{{- end -}}
{{- if (default dict $config.keys).pepper -}}
{{- fail "config.keys.pepper: the chart sets it, and a ConfigMap is no place for a secret: use pepper.existingSecret or pepper.value" -}}
{{- end -}}
{{- if (default dict $config.store).redis -}}
{{- fail "config.store.redis: the chart sets it, with the password from a Secret: use redis.addresses and its neighbours" -}}
{{- end -}}
{{- range $name, $provider := default dict $config.providers -}}
{{- range $endpoint := (default dict $provider).endpoints -}}
{{- range $endpoint.api_keys -}}
{{- if not (regexMatch "^([$][{]([A-Za-z_][A-Za-z0-9_]*(:-)?|file:/[^}]+)[}])?$" (toString .)) -}}
{{- fail (printf "config.providers.%s: an api_keys entry holds a key, and a ConfigMap is no place for a secret: write a reference such as \"${%s_API_KEY:-}\", and the key into a Secret named by providerKeys.existingSecret (or into providerKeys.values)" $name (upper $name | replace "-" "_")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A variable that config names and nothing sets would end the pod at its start. */}}
{{- define "tollgate.validateReferences" -}}
{{- if not .Values.extraEnvFrom -}}
{{- $set := dict -}}
{{- range include "tollgate.env" . | fromYamlArray -}}{{- $_ := set $set .name true -}}{{- end -}}
{{- range regexFindAll "[$][{][A-Za-z_][A-Za-z0-9_]*[}]" (toYaml .Values.config | replace "$$" "") -1 -}}
{{- $name := . | trimPrefix "${" | trimSuffix "}" -}}
{{- if not (hasKey $set $name) -}}
{{- fail (printf "config: names the variable %s, which nothing sets: add it to providerKeys.values or extraEnv, or write ${%s:-}" . $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
