{{/* tallyman.yaml: what the values say, and what the chart must decide itself. */}}
{{- define "tallyman.config" -}}
{{- $own := dict "listen" ":8080" "adminListen" ":9090" "probeListen" ":8081" "shutdown" (dict "deadline" (printf "%ds" (int .Values.shutdown.deadlineSeconds))) -}}
{{- if .Values.store.postgres.enabled -}}
{{- $_ := set $own "store" (required "store.postgres.url is required" .Values.store.postgres.url) -}}
{{- $_ := set $own "storePasswordFile" "/secrets/store/password" -}}
{{- else -}}
{{- $_ := set $own "store" "sqlite:///var/lib/tallyman/tallyman.db" -}}
{{- end -}}
{{- if and .Values.backup.enabled (not .Values.store.postgres.enabled) -}}
{{- $_ := set $own "backup" (dict "directory" "/var/backups/tallyman" "every" .Values.backup.every "keep" (int .Values.backup.keep)) -}}
{{- end -}}
{{- range $field := list "listen" "adminListen" "probeListen" "store" "storePasswordFile" "backup" "shutdown" -}}
{{- if hasKey $.Values.config $field -}}{{- fail (printf "config.%s is the chart's to write: see store, backup and shutdown in values.yaml" $field) -}}{{- end -}}
{{- end -}}
{{- if not .Values.config.manifests -}}{{- fail "config is required: it is tallyman.yaml, see docs/configuration.md" -}}{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.store.postgres.enabled) -}}{{- fail "replicas: more than one needs store.postgres; one process at a time has a SQLite file open" -}}{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.store.postgres.enabled) -}}{{- fail "autoscaling needs store.postgres" -}}{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (kindIs "invalid" (dig "limits" "trustedProxies" nil .Values.config)) -}}
{{- fail "config.limits.trustedProxies is required with ingress or gateway: the subnets of the load balancer or proxy in front, such as [10.0.0.0/20], whose X-Forwarded-For says whose request it is. [] says that nothing in front hides the client's address" -}}
{{- end -}}
{{- toYaml (merge (dict) $own .Values.config) -}}
{{- end }}

{{/* The part of tallyman.yaml that needs a restart: x-reload in `tallyman schema`. */}}
{{- define "tallyman.restart" -}}
{{- pick (include "tallyman.config" . | fromYaml) "listen" "adminListen" "pprof" "probeListen" "store" "storePasswordFile" "lease" "retention" "backup" "log" "shutdown" "limits" | toYaml -}}
{{- end }}

{{/* Not empty where an environment has image rules: then registries are asked, and AWS for those of ECR. */}}
{{- define "tallyman.inspects" -}}
{{- range .Values.config.environments }}{{ if and (kindIs "map" .) (hasKey . "image") }}yes{{ end }}{{ end -}}
{{- end }}
