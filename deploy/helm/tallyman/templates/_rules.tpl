{{/*
The groups of files/rules.yaml, with what monitoring.prometheusRule changes: an alert's switch, severity and duration, and
its threshold, which is the number at the end of its expression. How many replicas are wanted, and what the CronJob is
called, is known here.
*/}}
{{- define "tallyman.rules" -}}
{{- $changes := .Values.monitoring.prometheusRule }}
{{- $groups := list }}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).groups }}
  {{- $rules := list }}
  {{- range .rules }}
    {{- $alert := default dict (get (default dict $changes.alerts) (default "" .alert)) }}
    {{- if and .alert (hasKey $alert "severity") }}{{ $_ := set .labels "severity" $alert.severity }}{{ end }}
    {{- if and .alert $changes.additionalLabels }}{{ $_ := set . "labels" (merge (dict) .labels $changes.additionalLabels) }}{{ end }}
    {{- if hasKey $alert "for" }}{{ $_ := set . "for" $alert.for }}{{ end }}
    {{- if hasKey $alert "threshold" }}{{ $_ := set . "expr" (regexReplaceAll "[0-9.e]+\\n$" .expr (printf "%v\n" $alert.threshold)) }}{{ end }}
    {{- if eq (default "" .record) "tallyman:replicas:wanted" }}{{ $_ := set . "expr" (include "tallyman.wantedReplicas" $) }}{{ end }}
    {{- if eq (default "" .alert) "TallymanBackupJobOverdue" }}{{ $_ := set . "expr" (regexReplaceAll "cronjob=~\"[^\"]*\"" .expr (printf "namespace=%q, cronjob=%q" $.Release.Namespace (printf "%s-backup" (include "tallyman.name" $)))) }}{{ end }}
    {{- if not (and .alert (hasKey $alert "enabled") (not $alert.enabled)) }}{{ $rules = append $rules . }}{{ end }}
  {{- end }}
  {{- $groups = append $groups (dict "name" .name "rules" $rules) }}
{{- end }}
{{- toYaml $groups }}
{{- end }}

{{/* As many as there must be, under the labels that the ServiceMonitor's targets have. */}}
{{- define "tallyman.wantedReplicas" -}}
{{- $wanted := 1 }}
{{- if .Values.store.postgres.enabled }}{{ $wanted = ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled }}{{ end -}}
label_replace(label_replace(vector({{ $wanted }}), "namespace", "{{ .Release.Namespace }}", "", ""), "job", "{{ include "tallyman.name" . }}-admin", "", "")
{{- end }}
