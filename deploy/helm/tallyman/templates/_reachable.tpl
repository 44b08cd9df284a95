{{/* What the NetworkPolicy would block without a word, though other values ask for it. */}}
{{- define "tallyman.reachable" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if and .Values.monitoring.serviceMonitor.enabled (not $policy.adminFrom) -}}
{{- fail "monitoring.serviceMonitor is enabled and networkPolicy.adminFrom is empty, so Prometheus cannot reach /metrics: name its namespace there" -}}
{{- end -}}
{{- $ports := list -}}
{{- range $policy.egressPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- $proxied := not (empty .Values.envFrom) -}}
{{- range .Values.env -}}
{{- if has (lower .name) (list "https_proxy" "http_proxy" "all_proxy") -}}{{- $proxied = true -}}{{- end -}}
{{- end -}}
{{- $urls := dict "config.manifests.url" (.Values.config.manifests.url | default "") -}}
{{- range $name, $repository := .Values.config.repositories -}}
{{- with ($repository | default dict).url -}}{{- $_ := set $urls (printf "config.repositories.%s.url" $name) . -}}{{- end -}}
{{- end -}}
{{- range $field, $url := $urls -}}
{{- $host := regexReplaceAll "^[a-z]+://([^/@]*@)?([^/]*).*$" $url "${2}" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- if or (hasPrefix "ssh://" $url) (not (contains "://" $url)) -}}
{{- if not (has (int (ternary ($port | default 22) 22 (hasPrefix "ssh://" $url))) $ports) -}}
{{- fail (printf "%s %s is reached over SSH, and networkPolicy.egressPorts %v does not have its port %s: add it" $field $url $policy.egressPorts (ternary ($port | default "22") "22" (hasPrefix "ssh://" $url))) -}}
{{- end -}}
{{- else if not $proxied -}}
{{- $port = $port | default (ternary "80" "443" (hasPrefix "http://" $url)) -}}
{{- if not (has (int $port) $ports) -}}
{{- fail (printf "networkPolicy.egressPorts %v does not have port %s of %s %s: add it, or name a proxy in env" $policy.egressPorts $port $field $url) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
