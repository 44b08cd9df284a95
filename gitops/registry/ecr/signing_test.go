package ecr_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

// Managed signing is asynchronous: what has not ended, or not begun, may still come; what failed
// does not. With several profiles all must have signed.
func TestManagedSigning(t *testing.T) {
	const profile = "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/release"
	client, _, registry := newClient(t, ecr.Config{})
	repository := registry.Repository("shop/api")
	repository.Push(ecrtest.Image{Digest: digestOf(1), Tags: []string{"v1"}})
	complete, doing := ecrtest.Signing{Status: "COMPLETE", Profile: profile}, ecrtest.Signing{Status: "IN_PROGRESS", Profile: profile}
	failed := ecrtest.Signing{Status: "FAILED", Profile: profile, Code: "AccessDenied", Reason: "signer:SignPayload is not allowed"}
	for _, c := range []struct {
		name     string
		statuses []ecrtest.Signing
		why      string
		pending  bool
	}{
		{"complete", []ecrtest.Signing{complete}, "", false},
		{"both complete", []ecrtest.Signing{complete, complete}, "", false},
		{"one still going on", []ecrtest.Signing{complete, doing}, "ECR is still signing it with profile " + profile, true},
		{"no rule, or not begun", nil, "ECR has not begun to sign it: a signing rule of registry " + registry.Host() + " must match repository shop/api", true},
		{"one failed", []ecrtest.Signing{doing, complete, failed}, "ECR's signing of it failed: signer:SignPayload is not allowed (AccessDenied, profile " + profile + ")", false},
		{"one that is not known", []ecrtest.Signing{complete, {Status: "NEW", Profile: profile}}, "ECR is still signing it", true},
	} {
		repository.SetSigning(digestOf(1), c.statuses...)
		why, pending, err := client.Signed(t.Context(), registry.Host(), "shop/api", digestOf(1))
		if err != nil || pending != c.pending || !strings.HasPrefix(why, c.why) || (c.why == "") != (why == "") {
			t.Errorf("%s: %q, pending %v, %v", c.name, why, pending, err)
		}
	}
	if why, pending, err := client.Signed(t.Context(), registry.Host(), "shop/api", digestOf(2)); why == "" || !pending || err != nil {
		t.Errorf("an image that is not there: %q, %v, %v", why, pending, err)
	}
}
