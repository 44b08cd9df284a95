package test

import (
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// A pod that asks nothing of AWS has no role and no way to one; one that inspects images has the role
// that it is given, and reaches EKS Pod Identity's agent. The token of Kubernetes itself is mounted in
// neither: EKS mounts the web identity's by itself.
func TestChartGivesARoleOnlyWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"aws.yaml": `
config: {environments: {prod: {image: {}, tags: {semver: ">=1.0.0"}}}}
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/tallyman"}}
`})
	values := filepath.Join(chart, "ci", "default-values.yaml")
	for name, c := range map[string]struct {
		more  []string
		role  string
		agent bool
	}{
		"no image is inspected": {nil, "", false},
		"images are inspected":  {[]string{"--values", filepath.Join(dir, "aws.yaml")}, "arn:aws:iam::123456789012:role/tallyman", true},
	} {
		manifests := decode(t, render(t, chart, values, c.more...))
		account := objects(manifests, "ServiceAccount")[0].typed.(*corev1.ServiceAccount)
		if got := account.Annotations["eks.amazonaws.com/role-arn"]; got != c.role || len(account.Annotations) > 1 {
			t.Errorf("%s: the service account has %v", name, account.Annotations)
		}
		if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
			t.Errorf("%s: the service account's token is mounted", name)
		}
		for _, m := range manifests {
			if pod, ok := m.pod(t); ok && (pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken) {
				t.Errorf("%s: %s mounts the service account's token", name, m.Kind)
			}
		}
		policy := objects(manifests, "NetworkPolicy")[0].typed.(*networkingv1.NetworkPolicy)
		agent := slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return len(rule.Ports) == 1 && rule.Ports[0].Port.IntVal == 80 && len(rule.To) == 2 && rule.To[0].IPBlock.CIDR == "169.254.170.23/32"
		})
		if agent != c.agent {
			t.Errorf("%s: the pod reaches the agent: %v", name, agent)
		}
	}
}
