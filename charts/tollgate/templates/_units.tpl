{{/* Durations and quantities, as the gateway and Kubernetes write them. */}}

{{/*
A Go duration in whole seconds, rounded up: {option: its name, value: "1m30s"}.
*/}}
{{- define "tollgate.seconds" -}}
{{- $text := toString .value -}}
{{- if not (regexMatch "^(0|([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+)$" $text) -}}
{{- fail (printf "%s: must be a duration such as 300s, 5m or 1m30s, written out: the pod's grace period is computed from it; got %q" .option $text) -}}
{{- end -}}
{{- $unit := dict "ns" 1e-9 "us" 1e-6 "µs" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ns|us|µs|ms|s|m|h)" $text -1 -}}
{{- $sum = addf $sum (mulf (regexFind "^[0-9.]+" . | float64) (get $unit (regexFind "[^0-9.]+$" .))) -}}
{{- end -}}
{{- ceil $sum | int64 -}}
{{- end }}

{{/* config.server.shutdown_delay and .drain_timeout, with the gateway's own defaults. */}}
{{- define "tollgate.shutdownDelaySeconds" -}}
{{- $server := default dict .Values.config.server -}}
{{- include "tollgate.seconds" (dict "option" "config.server.shutdown_delay" "value" (kindIs "invalid" $server.shutdown_delay | ternary "0s" $server.shutdown_delay)) -}}
{{- end }}

{{- define "tollgate.drainSeconds" -}}
{{- $server := default dict .Values.config.server -}}
{{- include "tollgate.seconds" (dict "option" "config.server.drain_timeout" "value" (kindIs "invalid" $server.drain_timeout | ternary "300s" $server.drain_timeout)) -}}
{{- end }}

{{/* 10 s, unless the gateway itself waits for the load balancers. */}}
{{- define "tollgate.preStopSeconds" -}}
{{- if not (kindIs "invalid" .Values.preStopSeconds) -}}
{{- int .Values.preStopSeconds -}}
{{- else -}}
{{- gt (include "tollgate.shutdownDelaySeconds" . | int) 0 | ternary 0 10 -}}
{{- end -}}
{{- end }}

{{/*
How long the pod may take to end: preStop, the delay, the drain, and 15 s for the
last records, the operators' listener, the last traces and the kubelet.
*/}}
{{- define "tollgate.terminationGracePeriodSeconds" -}}
{{- add (include "tollgate.preStopSeconds" .) (include "tollgate.shutdownDelaySeconds" .) (include "tollgate.drainSeconds" .) 15 -}}
{{- end }}

{{/*
GOMEMLIMIT for resources.limits.memory: nine tenths, the rest is for what the Go
runtime does not count. Nothing without a limit, and nothing where extraEnv has it.
*/}}
{{- define "tollgate.goMemoryLimit" -}}
{{- $memory := (default dict (default dict .Values.resources).limits).memory -}}
{{- range .Values.extraEnv -}}{{- if eq .name "GOMEMLIMIT" -}}{{- $memory = "" -}}{{- end -}}{{- end -}}
{{- if $memory -}}
{{- $text := kindIs "string" $memory | ternary $memory (int64 $memory | toString) -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?([eE][0-9]+|Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$" $text) -}}
{{- fail (printf "resources.limits.memory: must be a quantity such as 512Mi or 1Gi, GOMEMLIMIT is computed from it; got %q" $text) -}}
{{- end -}}
{{- $factor := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- mulf (regexFind "^[0-9.]+([eE][0-9]+)?" $text | float64) (get $factor (regexFind "[A-Za-z]*$" $text)) 0.9 | floor | int64 -}}
{{- end -}}
{{- end }}
