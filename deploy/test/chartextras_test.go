package test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

const extras = `
fullnameOverride: releases
commonLabels: {team: platform}
envFrom: [{configMapRef: {name: proxy}}]
extraVolumes: [{name: ca, configMap: {name: company-ca}}]
extraVolumeMounts: [{name: ca, mountPath: /etc/company-ca, readOnly: true}]
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ include "tallyman.name" . }}-map'}}
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: '{{ .Values.fullnameOverride }}-text'}
`

// TestChartTakesWhatACompanyAdds renders names, labels, variables, volumes and objects
// of one's own, in the server's pod and in the one of helm test alike.
func TestChartTakesWhatACompanyAdds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"extras.yaml": extras})
	manifests := decode(t, render(t, chart, filepath.Join(chart, "ci", "default-values.yaml"), "--values", filepath.Join(dir, "extras.yaml")))
	var names []string
	for _, m := range manifests {
		names = append(names, name(m.raw))
	}
	for _, want := range []string{"StatefulSet releases", "Service releases-admin", "ConfigMap releases-map", "ConfigMap releases-text"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s among %v", want, names)
		}
	}
	pods := 0
	for _, m := range manifests {
		pod, ok := m.pod(t)
		if !ok {
			continue
		}
		pods++
		container := pod.Spec.Containers[0]
		if len(container.EnvFrom) != 1 || pod.Labels["team"] != "platform" ||
			!slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "ca" }) ||
			!slices.ContainsFunc(container.VolumeMounts, func(v corev1.VolumeMount) bool { return v.MountPath == "/etc/company-ca" }) {
			t.Errorf("%s lacks something of extras", m.Kind)
		}
	}
	if pods != 2 {
		t.Errorf("%d pods", pods)
	}
}

// TestEveryPodIsUnderThePolicy holds what helm test finds to what the server may do:
// a check outside the NetworkPolicy would reach what the server cannot.
func TestEveryPodIsUnderThePolicy(t *testing.T) {
	t.Parallel()
	manifests := decode(t, render(t, chart, filepath.Join(chart, "ci", "default-values.yaml")))
	policy := objects(manifests, "NetworkPolicy")[0].typed.(*networkingv1.NetworkPolicy)
	for _, m := range manifests {
		pod, ok := m.pod(t)
		for key, value := range policy.Spec.PodSelector.MatchLabels {
			if ok && pod.Labels[key] != value {
				t.Errorf("the policy selects %s=%s, and a pod of the %s has %q", key, value, m.Kind, pod.Labels[key])
			}
		}
	}
}

func TestChartNeedsAConfiguration(t *testing.T) {
	t.Parallel()
	out, err := tool(t, "helm", "template", "tallyman", chart, "--kube-version", kubeVersion, "--set", "image.repository=registry.example/tallyman").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "config is required: it is tallyman.yaml") {
		t.Errorf("it says %v:\n%s", err, out)
	}
}

// TestNoProxiesCanBeSaid renders a route with a list of proxies that is empty: nothing in
// front hides the client's address.
func TestNoProxiesCanBeSaid(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"ingress.enabled=true,ingress.host=tallyman.example", "gateway.enabled=true,gateway.hostnames={tallyman.example}"} {
		text := render(t, chart, filepath.Join(chart, "ci", "default-values.yaml"), "--set", way, "--set-json", "config.limits.trustedProxies=[]")
		if !strings.Contains(text, "trustedProxies: []") {
			t.Errorf("%s: the configuration does not say it:\n%s", way, text)
		}
	}
}

// TestProbesNeedNoPolicy holds who may reach which port: the probes whoever may send, the
// metrics whom adminFrom names and nobody else.
func TestProbesNeedNoPolicy(t *testing.T) {
	t.Parallel()
	for values, metrics := range map[string]bool{"ingress-alb": false, "gateway-monitoring": true} {
		manifests := decode(t, render(t, chart, filepath.Join(chart, "ci", values+"-values.yaml")))
		policy := objects(manifests, "NetworkPolicy")[0].typed.(*networkingv1.NetworkPolicy)
		var opened [][]string
		for _, rule := range policy.Spec.Ingress {
			var ports []string
			for _, port := range rule.Ports {
				ports = append(ports, port.Port.String())
			}
			if len(rule.From) == 0 {
				t.Errorf("%s: everybody reaches %v", values, ports)
			}
			opened = append(opened, ports)
		}
		want := [][]string{{"http", "probe"}}
		if metrics {
			want = append(want, []string{"admin"})
		}
		if diff := cmp.Diff(want, opened); diff != "" {
			t.Errorf("%s: ports that are open (-want +got):\n%s", values, diff)
		}
	}
}
