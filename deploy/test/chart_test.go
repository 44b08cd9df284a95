package test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

const chart = "../helm/tallyman"

// kubeVersion is what helm template pretends to talk to.
const kubeVersion = "1.33.0"

// render is helm template with a file of values.
func render(t *testing.T, chart, values string, more ...string) string {
	t.Helper()
	args := []string{"template", "tallyman", chart, "--namespace", "tallyman", "--kube-version", kubeVersion, "--values", values}
	return run(t, tool(t, "helm", append(args, more...)...))
}

// objects picks those of a kind.
func objects(manifests []manifest, kind string) []manifest {
	return slices.DeleteFunc(slices.Clone(manifests), func(m manifest) bool { return m.Kind != kind })
}

func TestChart(t *testing.T) {
	for _, test := range []struct {
		values string
		kinds  []string
	}{
		{"default", []string{"ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "Service", "Service", "ServiceAccount", "StatefulSet"}},
		{"postgres", []string{"ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "Service", "Service", "ServiceAccount"}},
		{"ingress-alb", []string{"ConfigMap", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "Service", "Service", "ServiceAccount", "StatefulSet"}},
		{"gateway-monitoring", []string{"ConfigMap", "ConfigMap", "HTTPRoute", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "PrometheusRule", "Service", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet"}},
		{"minimal", []string{"ConfigMap", "NetworkPolicy", "Pod", "Service", "Service", "StatefulSet"}},
		{"backup", []string{"ConfigMap", "Job", "NetworkPolicy", "PersistentVolumeClaim", "PersistentVolumeClaim", "Pod", "Service", "Service", "ServiceAccount", "StatefulSet"}},
	} {
		t.Run(test.values, func(t *testing.T) {
			t.Parallel()
			values := filepath.Join(chart, "ci", test.values+"-values.yaml")
			run(t, tool(t, "helm", "lint", "--strict", "--kube-version", kubeVersion, "--values", values, chart))
			text := render(t, chart, values)
			manifests := decode(t, text)
			var kinds []string
			for _, m := range manifests {
				kinds = append(kinds, m.Kind)
			}
			slices.Sort(kinds)
			if diff := cmp.Diff(test.kinds, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
			if len(objects(manifests, "Secret")) > 0 {
				t.Error("the chart makes a Secret: secrets come by reference only")
			}
			config := objects(manifests, "ConfigMap")[0].typed.(*corev1.ConfigMap).Data["tallyman.yaml"]
			checkConfig(t, config)
			for _, m := range manifests {
				if pod, ok := m.pod(t); ok {
					checkRestricted(t, pod)
					checkMounts(t, pod, config)
					run(t, tallyman(append(pod.Spec.Containers[0].Args, "--help")...)) // every flag is one
					if m.Kind == "Deployment" || m.Kind == "StatefulSet" {
						checkServing(t, pod, config)
						checkSelected(t, pod, manifests)
					}
				}
			}
			checkRoutes(t, manifests)
			for _, m := range objects(manifests, "StatefulSet") {
				// The other policy waits for a broken pod instead of replacing it.
				if set := m.typed.(*appsv1.StatefulSet); set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
					t.Errorf("pods are managed %s", set.Spec.PodManagementPolicy)
				}
			}
		})
	}
}

// secretFile matches what a configuration names in the chart's directory.
var secretFile = regexp.MustCompile(`/secrets/[\w./-]+`)

// checkConfig has the real tallyman read the configuration, with files where it
// names them.
func checkConfig(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	files := make(map[string]string)
	for _, path := range secretFile.FindAllString(config, -1) {
		files[path] = exampleSecret(t, path)
	}
	config = strings.NewReplacer("/secrets/", dir+"/secrets/", "/var/lib/tallyman", dir, "/var/backups/tallyman", dir).Replace(config)
	config = regexp.MustCompile(`@[^/]*\.rds\.amazonaws\.com:\d+`).ReplaceAllString(config, "@127.0.0.1:1")
	files["tallyman.yaml"] = config
	write(t, dir, files)
	// There is no database here, so what is asked for is that the file is good.
	out, err := tallyman("check", "--offline", "--config", filepath.Join(dir, "tallyman.yaml")).CombinedOutput()
	if !strings.HasPrefix(string(out), "configuration: ok") || err != nil && !strings.Contains(config, "postgres://") {
		t.Errorf("tallyman check: %v\n%s\n%s", err, out, config)
	}
	if strings.Contains(string(out), "warning: ") {
		t.Errorf("what is there to be copied is wide:\n%s", out)
	}
}

// checkMounts sees that each file that the configuration names is in a mounted
// Secret, and that nothing but the store, backups and /tmp can be written.
func checkMounts(t *testing.T, pod corev1.PodTemplateSpec, config string) {
	t.Helper()
	container := pod.Spec.Containers[0]
	for _, path := range secretFile.FindAllString(config, -1) {
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == filepath.Dir(path) && m.ReadOnly }) {
			t.Errorf("%s is in no Secret that is mounted", path)
		}
	}
	for _, mount := range container.VolumeMounts {
		if !mount.ReadOnly && !slices.Contains([]string{"/var/lib/tallyman", "/var/backups/tallyman", "/tmp"}, mount.MountPath) {
			t.Errorf("%s can be written", mount.MountPath)
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom != nil {
			t.Errorf("%s: secrets are files, not variables", variable.Name)
		}
	}
}

// checkServing sees that the container listens where its probes and Services
// look, and has the time that it needs to stop.
func checkServing(t *testing.T, pod corev1.PodTemplateSpec, config string) {
	t.Helper()
	var c struct {
		Listen, AdminListen, ProbeListen string
		Shutdown                         struct{ Deadline string }
	}
	if err := yaml.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	container := pod.Spec.Containers[0]
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "admin", ContainerPort: 9090}, {Name: "probe", ContainerPort: 8081}}
	if diff := cmp.Diff(ports, container.Ports); diff != "" || c.Listen != ":8080" || c.AdminListen != ":9090" || c.ProbeListen != ":8081" {
		t.Errorf("ports (-want +got):\n%s; listen %s, adminListen %s, probeListen %s", diff, c.Listen, c.AdminListen, c.ProbeListen)
	}
	for path, probe := range map[string]*corev1.Probe{"/livez": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "probe" {
			t.Errorf("the probe of %s is %v", path, probe)
		}
	}
	deadline, err := time.ParseDuration(c.Shutdown.Deadline)
	if err != nil {
		t.Fatal(err)
	}
	needs := deadline
	if container.Lifecycle != nil {
		needs += time.Duration(container.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	// One pod with a file has nobody to leave its requests to.
	if replicated := strings.Contains(config, "postgres://"); replicated != (container.Lifecycle != nil) {
		t.Errorf("several replicas: %t, and before it stops it does %v", replicated, container.Lifecycle)
	}
	if grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; grace <= needs {
		t.Errorf("it is killed after %v, and may need %v", grace, needs)
	}
}

// checkSelected sees that whatever selects pods selects this one.
func checkSelected(t *testing.T, pod corev1.PodTemplateSpec, manifests []manifest) {
	t.Helper()
	for _, m := range manifests {
		var s struct {
			Spec struct {
				Selector    any `json:"selector"`
				PodSelector any `json:"podSelector"`
			} `json:"spec"`
		}
		convert(t, m.raw, &s)
		if m.Kind == "ServiceMonitor" {
			continue // it selects a Service
		}
		for _, selector := range []any{s.Spec.Selector, s.Spec.PodSelector} {
			labels, _ := selector.(map[string]any)
			if nested, ok := labels["matchLabels"].(map[string]any); ok {
				labels = nested
			}
			for key, value := range labels {
				if pod.Labels[key] != value {
					t.Errorf("%s selects %s=%v, and the pod has %q", name(m.raw), key, value, pod.Labels[key])
				}
			}
		}
	}
}

// checkRoutes sees that no way in leads to the admin listener.
func checkRoutes(t *testing.T, manifests []manifest) {
	t.Helper()
	var paths []string
	for _, m := range objects(manifests, "Ingress") {
		for _, rule := range m.typed.(*networkingv1.Ingress).Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				paths = append(paths, path.Path)
				if path.Backend.Service.Name != "tallyman" || path.Backend.Service.Port.Name != "http" {
					t.Errorf("%s leads to %v", path.Path, path.Backend.Service)
				}
			}
		}
	}
	for _, m := range objects(manifests, "HTTPRoute") {
		for _, rule := range m.raw["spec"].(map[string]any)["rules"].([]any) {
			for _, match := range rule.(map[string]any)["matches"].([]any) {
				paths = append(paths, match.(map[string]any)["path"].(map[string]any)["value"].(string))
			}
		}
	}
	if diff := cmp.Diff([]string{"/webhooks", "/api"}, paths); paths != nil && diff != "" {
		t.Errorf("paths that are exposed (-want +got):\n%s", diff)
	}
	for _, m := range objects(manifests, "Service") {
		service := m.typed.(*corev1.Service)
		for _, port := range service.Spec.Ports {
			if service.Name == "tallyman" && port.TargetPort.String() != "http" {
				t.Errorf("the public Service has port %s", port.Name)
			}
		}
	}
}

func TestChartRefuses(t *testing.T) {
	for _, test := range []struct{ name, set, says string }{
		{"several replicas on SQLite", "replicas=2", "store.postgres"},
		{"autoscaling on SQLite", "autoscaling.enabled=true", "store.postgres"},
		{"an unknown value", "replica=2", "replica"},
		{"an unknown field of the configuration", "config.manifests.brnch=main", "brnch"},
		{"an unknown field of an environment", "config.environments.dev.coalece=newest", "coalece"},
		{"a word that is none", "config.environments.dev.coalesce=latest", "coalesce"},
		{"a store of one's own", "config.store=sqlite:///tmp/x", "the chart's to write"},
		{"a password in the URL", "store.postgres.url=postgres://user:secret@host/db", "postgres"},
		{"the tag latest", "image.tag=latest", "tag"},
		{"no image", "image.repository=", "image.repository is required"},
		{"no repository", "config.manifests=null", "/config/manifests"},
		{"probes elsewhere", "config.probeListen=:9999", "the chart's to write"},
		{"an Ingress, and no word on proxies", "ingress.enabled=true", "config.limits.trustedProxies is required"},
		{"a Gateway, and no word on proxies", "gateway.enabled=true", "config.limits.trustedProxies is required"},
		{"nothing where the proxies should be", "ingress.enabled=true,config.limits.trustedProxies=null", "trustedProxies"},
		{"limits of another kind, and no word on proxies", "ingress.enabled=true,config.limits.refusedPerMinute=100", "config.limits.trustedProxies is required"},
		{"metrics that nobody may fetch", "monitoring.serviceMonitor.enabled=true", "networkPolicy.adminFrom is empty"},
		{"SSH that is blocked", "config.manifests.url=git@github.com:myshop/manifests.git", "does not have its port 22"},
		{"SSH on a port that is blocked", "config.manifests.url=ssh://git@git.example:2222/myshop/manifests.git", "does not have its port 2222"},
		{"HTTPS on a port that is blocked", "config.manifests.url=https://git.example:8443/manifests.git", "does not have port 8443 of config.manifests.url"},
		{"SSH of another repository that is blocked", "config.repositories.pay.url=git@github.com:myshop/pay.git", "config.repositories.pay.url git@github.com:myshop/pay.git is reached over SSH"},
		{"HTTPS of another repository on a port that is blocked", "config.repositories.pay.url=https://git.example:8443/pay.git", "does not have port 8443 of config.repositories.pay.url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := tool(t, "helm", "template", "tallyman", chart, "--kube-version", kubeVersion,
				"--values", filepath.Join(chart, "ci", "default-values.yaml"), "--set", test.set).CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.says) {
				t.Errorf("it says %v:\n%s", err, out)
			}
		})
	}
}
