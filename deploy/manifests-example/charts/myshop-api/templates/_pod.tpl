{{/* The pod, the same under a Deployment and under a Rollout. */}}
{{- define "pod" -}}
metadata:
  labels:
    app: {{ .Release.Name }}
spec:
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          app: {{ .Release.Name }}
  containers:
    - name: api
      image: "{{ .Values.image.repository }}:{{ required "image.tag is set in values-<env>.yaml" .Values.image.tag }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.env }}
      env:
        {{- range $name, $value := . }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ .Values.service.port }}}
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
      lifecycle:
        preStop:
          sleep: {seconds: 10}   # the load balancer stops sending first
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
{{- end }}
