package policy_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// The tags of what belongs to an image are taken by no rule, neither pushed nor
// ordered.
func TestTagsOfSignaturesAreNeverTaken(t *testing.T) {
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".*"}}},
		Apps:         map[string]policy.App{"api": {Repository: registry + "api"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	of := "sha256-" + strings.TrimPrefix(digest, "sha256:")
	for tag, taken := range map[string]bool{of: false, of + ".sig": false, of + ".att": false, of + ".sbom": false, of[:20]: true, "v1.0.0.sig": true} {
		pushed, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "api", Tag: tag}})
		if err != nil || (pushed.Outcome == gitops.OutcomeAccepted) != taken || !taken && !strings.Contains(pushed.Reason, "names a signature, an attestation or an SBOM of an image") {
			t.Errorf("%s pushed: %s, %s, %v", tag, pushed.Outcome, pushed.Reason, err)
		}
		_, err = p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: tag}}})
		if (err == nil) != taken || !taken && (gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(err.Error(), "name the image's own tag")) {
			t.Errorf("%s ordered: %v", tag, err)
		}
	}
}
