{{/* What no schema can say. Each message names the value and what to do next. */}}

{{- define "tollgate.validate" -}}
{{- include "tollgate.validateName" . -}}
{{- include "tollgate.validateFleet" . -}}
{{- include "tollgate.validateRedis" . -}}
{{- include "tollgate.validateService" . -}}
{{- include "tollgate.validateSecrets" . -}}
{{- include "tollgate.validateTLS" . -}}
{{- include "tollgate.validateShutdown" . -}}
{{- include "tollgate.validateConfig" . -}}
{{- end }}

{{/* Helm allows release names that no Service can have. */}}
{{- define "tollgate.validateName" -}}
{{- $name := include "tollgate.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "fullnameOverride: must be set, for no Service can be called %q, as this release would be: a letter, then lower-case letters, digits and -" $name) -}}
{{- end -}}
{{- end }}

{{/* Without a replicaCount somebody else chooses, and may choose several. */}}
{{- define "tollgate.validateFleet" -}}
{{- $open := kindIs "invalid" .Values.replicaCount -}}
{{- if or $open (gt (int .Values.replicaCount) 1) -}}
{{- $replicas := $open | ternary "replicas of an open number" (printf "%d replicas" (int .Values.replicaCount)) -}}
{{- if not .Values.redis.addresses -}}
{{- fail (printf "replicaCount: %s need a Redis, for the embedded store belongs to one process: set redis.addresses, or replicaCount to 1" $replicas) -}}
{{- end -}}
{{- if not (or .Values.extraEnvFrom .Values.admin.operators.names (hasKey (include "tollgate.variables" . | fromYaml) "TOLLGATE_ADMIN_TOKEN")) -}}
{{- fail (printf "admin.token: %s need one token, for each would make its own: set admin.existingSecret (or admin.token), or name admin.operators" $replicas) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- fail "podDisruptionBudget: set minAvailable or maxUnavailable, not both" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tollgate.validateRedis" -}}
{{- $redis := .Values.redis -}}
{{- include "tollgate.validateAddresses" $redis.addresses -}}
{{- if and (not $redis.addresses) (or $redis.cluster $redis.masterName $redis.username $redis.password $redis.existingSecret $redis.tls) -}}
{{- fail "redis.addresses: must name a server where other options of redis are set" -}}
{{- end -}}
{{- if and $redis.tlsCA.existingSecret (not $redis.tls) -}}
{{- fail "redis.tls: must be true where redis.tlsCA.existingSecret is set" -}}
{{- end -}}
{{- if and $redis.cluster $redis.masterName -}}
{{- fail "redis.cluster: redis.masterName says that the addresses are Sentinels, so they cannot be a Cluster's; drop one of the two" -}}
{{- end -}}
{{- if and $redis.db (not $redis.masterName) (or $redis.cluster (gt (len (default list $redis.addresses)) 1)) -}}
{{- fail (printf "redis.db: must be 0 for a Cluster, which has no other, got %d; several addresses without redis.masterName are a Cluster's" (int $redis.db)) -}}
{{- end -}}
{{- if and (not $redis.masterName) (or $redis.sentinelUsername $redis.sentinelPassword $redis.existingSecretSentinelKey) -}}
{{- fail "redis.masterName: must be set where a Sentinel's login is" -}}
{{- end -}}
{{- if and $redis.existingSecretSentinelKey (not $redis.existingSecret) -}}
{{- fail "redis.existingSecret: must name the Secret of redis.existingSecretSentinelKey" -}}
{{- end -}}
{{- end }}

{{/* Not in the schema: its message repeats the value, and a URL may hold a password. */}}
{{- define "tollgate.validateAddresses" -}}
{{- range $i, $address := . -}}
{{- if not (or (contains "${" $address) (regexMatch `^([^:/@\s\[\]]+|\[[^/@\s\[\]]+\]):[0-9]+$` $address)) -}}
{{- $got := contains "@" $address | ternary "" (printf "; got %q" $address) -}}
{{- fail (printf "redis.addresses[%d]: must be host:port such as redis:6379, without a scheme and without a login (redis.tls, redis.username and redis.existingSecret say those)%s" $i $got) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What the API server would refuse, with the options by the chart's names. */}}
{{- define "tollgate.validateService" -}}
{{- $service := .Values.service -}}
{{- if eq $service.type "ClusterIP" -}}
{{- range $option := list "nodePort" "externalTrafficPolicy" -}}
{{- if get $service $option -}}
{{- fail (printf "service.%s: must be left out with service.type ClusterIP; NodePort and LoadBalancer have it" $option) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if ne $service.type "LoadBalancer" -}}
{{- range $option := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if get $service $option -}}
{{- fail (printf "service.%s: must be left out with service.type %s; only LoadBalancer has it" $option $service.type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tollgate.validateSecrets" -}}
{{- range include "tollgate.secrets" . | fromYamlArray -}}
{{- if and .value .existingSecret -}}
{{- fail (printf "%s: is set beside the existingSecret %q; keep one of the two" .option .existingSecret) -}}
{{- end -}}
{{- end -}}
{{- $operators := .Values.admin.operators -}}
{{- if ne (empty $operators.existingSecret) (empty $operators.names) -}}
{{- fail "admin.operators: existingSecret and names belong together: give the Secret and which of its keys are operators, or neither" -}}
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

{{/* Here a port's name depends on it, so it must be known; and a key is a file, not text in a ConfigMap. */}}
{{- define "tollgate.validateTLS" -}}
{{- $files := default dict (default dict .Values.config.server).tls -}}
{{- range $option := list "cert" "key" -}}
{{- $path := get $files $option -}}
{{- if and $path $.Values.tls.existingSecret -}}
{{- fail (printf "config.server.tls.%s: the chart sets it where tls.existingSecret names a Secret: leave it out, or clear tls.existingSecret" $option) -}}
{{- end -}}
{{- if and $path (not (regexMatch "^/[^\n$]+$" (toString $path))) -}}
{{- fail (printf "config.server.tls.%s: must be the absolute path of a file, written out: use tls.existingSecret, or name a file of extraVolumeMounts" $option) -}}
{{- end -}}
{{- end -}}
{{- if ne (empty $files.cert) (empty $files.key) -}}
{{- fail "config.server.tls: cert and key belong together: give both, or neither, or use tls.existingSecret" -}}
{{- end -}}
{{- end }}

{{/* Two waits for the same thing, one before SIGTERM and one after it, would only be long. */}}
{{- define "tollgate.validateShutdown" -}}
{{- $before := include "tollgate.preStopSeconds" . | int -}}
{{- $after := include "tollgate.shutdownDelaySeconds" . | int -}}
{{- if and (gt $before 0) (gt $after 0) -}}
{{- fail (printf "preStopSeconds: its %d s and the %d s of config.server.shutdown_delay would add up, and both wait for load balancers to look elsewhere: drop preStopSeconds, or set config.server.shutdown_delay to 0s" $before $after) -}}
{{- end -}}
{{- end }}

{{/* No secret in config: it becomes a ConfigMap, which many may read. */}}
{{- define "tollgate.validateConfig" -}}
{{- $config := .Values.config -}}
{{- if not (has (default dict $config.admin).token (list nil "" "${TOLLGATE_ADMIN_TOKEN}" "${TOLLGATE_ADMIN_TOKEN:-}")) -}}
{{- fail "config.admin.token: the chart sets it, and a ConfigMap is no place for a secret: use admin.existingSecret or admin.token" -}}
{{- end -}}
{{- range $name, $token := (default dict $config.admin).tokens -}}
{{- if has $name $.Values.admin.operators.names -}}
{{- fail (printf "config.admin.tokens.%s: the chart sets it, for admin.operators.names has %s; drop one of the two" $name $name) -}}
{{- end -}}
{{- if not (regexMatch "^[$][{]([A-Za-z_][A-Za-z0-9_]*|file:/[^}]+)[}]$" (toString $token)) -}}
{{- fail "config.admin.tokens: an entry holds a token, and a ConfigMap is no place for a secret: use admin.operators, or write a reference such as \"${ALICE_TOKEN}\"" -}}
{{- end -}}
{{- end -}}
{{- if not (has (default dict $config.keys).pepper (list nil "" "${TOLLGATE_PEPPER}" "${TOLLGATE_PEPPER:-}")) -}}
{{- fail "config.keys.pepper: the chart sets it, and a ConfigMap is no place for a secret: use pepper.existingSecret or pepper.value" -}}
{{- end -}}
{{- $passwords := list "${REDIS_PASSWORD}" "${REDIS_PASSWORD:-}" "${REDIS_SENTINEL_PASSWORD}" "${REDIS_SENTINEL_PASSWORD:-}" -}}
{{- range $option, $value := default dict (default dict $config.store).redis -}}
{{- if and $value (not (has $value $passwords)) -}}
{{- fail (printf "config.store.redis.%s: the chart sets it, with the password from a Secret: use redis.addresses and its neighbours" $option) -}}
{{- end -}}
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

{{/* A variable that config.yaml names and nothing sets would end the pod at its start: {root, text}. */}}
{{- define "tollgate.validateReferences" -}}
{{- if not .root.Values.extraEnvFrom -}}
{{- $set := include "tollgate.variables" .root | fromYaml -}}
{{- range regexFindAll "[$][{][A-Za-z_][A-Za-z0-9_]*[}]" (replace "$$" "" .text) -1 -}}
{{- $name := . | trimPrefix "${" | trimSuffix "}" -}}
{{- if not (hasKey $set $name) -}}
{{- fail (printf "config: names the variable %s, which nothing sets: add it to providerKeys.values or extraEnv, or write ${%s:-}" . $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
