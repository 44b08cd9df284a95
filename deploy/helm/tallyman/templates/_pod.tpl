{{/* The pod, the same in a StatefulSet and in a Deployment. */}}
{{- define "tallyman.pod" -}}
metadata:
  labels:
    {{- include "tallyman.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # tallyman reads a changed file by itself, within a minute or two; what it cannot change while it runs starts new pods.
    checksum/restart: {{ include "tallyman.restart" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "tallyman.serviceAccount" . }}
  automountServiceAccountToken: false   # it never asks the Kubernetes API
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int (include "tallyman.preStopSeconds" .)) (int .Values.shutdown.deadlineSeconds) 5 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "tallyman.podSecurity" . | nindent 2 }}
  {{- if .Values.store.postgres.enabled }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tallyman.selector" $ | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: tallyman
      image: {{ include "tallyman.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/tallyman/tallyman.yaml]
      {{- include "tallyman.environment" . | nindent 6 }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: admin, containerPort: 9090}
        - {name: probe, containerPort: 8081}
      startupProbe:
        httpGet: {path: /livez, port: probe}
        periodSeconds: 1
        timeoutSeconds: 3
        failureThreshold: 120
      livenessProbe:
        httpGet: {path: /livez, port: probe}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: probe}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      {{- with int (include "tallyman.preStopSeconds" .) }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- include "tallyman.containerSecurity" . | nindent 6 }}
      volumeMounts:
        {{- include "tallyman.mounts" . | nindent 8 }}
        {{- if not .Values.store.postgres.enabled }}
        - {name: store, mountPath: /var/lib/tallyman}
        {{- if .Values.backup.enabled }}
        - {name: backup, mountPath: /var/backups/tallyman}
        {{- end }}
        {{- end }}
  volumes:
    {{- include "tallyman.volumes" . | nindent 4 }}
    {{- if not .Values.store.postgres.enabled }}
    - name: store
      persistentVolumeClaim: {claimName: {{ include "tallyman.storeClaim" . }}}
    {{- if .Values.backup.enabled }}
    - name: backup
      persistentVolumeClaim: {claimName: {{ include "tallyman.backupClaim" . }}}
    {{- end }}
    {{- end }}
{{- end }}

{{/* One pod with a SQLite file has nobody to leave its requests to: waiting would only make the pause longer. */}}
{{- define "tallyman.preStopSeconds" -}}
{{- $seconds := .Values.shutdown.preStopSeconds -}}
{{- if kindIs "invalid" $seconds }}{{ ternary 15 0 .Values.store.postgres.enabled }}{{ else }}{{ int $seconds }}{{ end }}
{{- end }}

{{- define "tallyman.environment" -}}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tallyman.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tallyman.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "tallyman.mounts" -}}
- {name: config, mountPath: /etc/tallyman, readOnly: true}
{{- range $directory, $_ := .Values.secrets }}
- {name: secret-{{ $directory }}, mountPath: /secrets/{{ $directory }}, readOnly: true}
{{- end }}
{{- if .Values.store.postgres.enabled }}
- {name: store-password, mountPath: /secrets/store, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tallyman.volumes" -}}
- name: config
  configMap: {name: {{ include "tallyman.name" . }}}
{{- range $directory, $secret := .Values.secrets }}
- name: secret-{{ $directory }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- with .Values.store.postgres }}
{{- if .enabled }}
- name: store-password
  secret:
    secretName: {{ required "store.postgres.passwordSecret.name is required" .passwordSecret.name }}
    defaultMode: 0440
    items: [{key: {{ .passwordSecret.key }}, path: password}]
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
