package main

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// chart is what a Helm chart has beside its values for each environment: whoever
// checks the repository out writes these files, too.
var chart = map[string]string{
	"Chart.yaml": `apiVersion: v2
name: NAME
description: The chart of NAME, which belongs to team TEAM
type: application
version: 0.NUMBER.1
maintainers:
  - name: team-TEAM
    email: team-TEAM@example.com
`,
	"values.yaml": `# The defaults of NAME; values-<environment>.yaml override them.
replicaCount: 1
image: {repository: "", tag: "", pullPolicy: IfNotPresent}
serviceAccount: {create: true, name: NAME}
service: {type: ClusterIP, port: 8080}
ingress:
  enabled: false
  host: NAME.team-TEAM.example.com
resources: {}
nodeSelector: {}
tolerations: []
`,
	"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME, team: team-TEAM}
spec:
  replicas: {{ .Values.replicaCount }}
  selector: {matchLabels: {app.kubernetes.io/name: NAME}}
  template:
    metadata: {labels: {app.kubernetes.io/name: NAME}}
    spec:
      serviceAccountName: {{ .Values.serviceAccount.name }}
      containers:
        - name: NAME
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          ports: [{name: http, containerPort: {{ .Values.service.port }}}]
          readinessProbe: {httpGet: {path: /readyz, port: http}}
          livenessProbe: {httpGet: {path: /livez, port: http}}
          resources: {{- toYaml .Values.resources | nindent 12 }}
`,
	"templates/service.yaml": `apiVersion: v1
kind: Service
metadata: {name: NAME, labels: {team: team-TEAM}}
spec:
  type: {{ .Values.service.type }}
  ports: [{name: http, port: {{ .Values.service.port }}, targetPort: http}]
  selector: {app.kubernetes.io/name: NAME}
`,
	"templates/ingress.yaml": `{{- if .Values.ingress.enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME}
spec:
  rules:
    - host: {{ .Values.ingress.host }}
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {name: http}}}}]}
{{- end }}
`,
}

// addCharts completes every app's directory, in one commit, and packs the
// repository again.
func addCharts(r *gitserver.Repository, shape gitserver.Shape) error {
	files := make(map[string]string)
	for n := range shape.Apps {
		app := gitserver.App(n)
		fill := strings.NewReplacer("NAME", app, "TEAM", fmt.Sprint(n%37), "NUMBER", fmt.Sprint(n))
		for name, text := range chart {
			files["charts/"+app+"/"+name] = fill.Replace(text)
		}
	}
	if _, err := r.Commit(gitserver.Change{Message: "The charts", Files: files}); err != nil {
		return err
	}
	_, err := r.Git("repack", "-adq", "--write-bitmap-index")
	return err
}
