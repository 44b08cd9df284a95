{{/* The pod of a job that works on the store: (list $ component arguments). It is no Service's, and under the NetworkPolicy. */}}
{{- define "tallyman.jobPod" -}}
{{- $ := index . 0 -}}
metadata:
  labels:
    {{- include "tallyman.jobLabels" . | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "tallyman.serviceAccount" $ }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "tallyman.podSecurity" $ | nindent 2 }}
  {{- with $.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ index . 1 }}
      image: {{ include "tallyman.image" $ | quote }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: {{ index . 2 | toJson }}
      {{- if has "-" (index . 2) }}
      stdin: true
      stdinOnce: true   # it waits for the first who attaches, and ends when he leaves
      {{- end }}
      {{- include "tallyman.environment" $ | nindent 6 }}
      resources:
        {{- toYaml $.Values.resources | nindent 8 }}
      {{- include "tallyman.containerSecurity" $ | nindent 6 }}
      volumeMounts:
        {{- include "tallyman.mounts" $ | nindent 8 }}
        {{- if not $.Values.store.postgres.enabled }}
        - {name: store, mountPath: /var/lib/tallyman}
        {{- end }}
        {{- if $.Values.backup.enabled }}
        - {name: backup, mountPath: /var/backups/tallyman}
        {{- end }}
  volumes:
    {{- include "tallyman.volumes" $ | nindent 4 }}
    {{- if not $.Values.store.postgres.enabled }}
    - name: store
      persistentVolumeClaim: {claimName: {{ include "tallyman.storeClaim" $ }}}
    {{- end }}
    {{- if $.Values.backup.enabled }}
    - name: backup
      persistentVolumeClaim: {claimName: {{ include "tallyman.backupClaim" $ }}}
    {{- end }}
{{- end }}

{{- define "tallyman.jobLabels" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ $.Chart.Name }}-{{ index . 1 }}
app.kubernetes.io/component: {{ index . 1 }}
{{ include "tallyman.release" $ }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tallyman.storeClaim" -}}
{{ default (printf "%s-store" (include "tallyman.name" .)) .Values.store.sqlite.existingClaim }}
{{- end }}

{{- define "tallyman.backupClaim" -}}
{{ default (printf "%s-backup" (include "tallyman.name" .)) .Values.backup.existingClaim }}
{{- end }}
