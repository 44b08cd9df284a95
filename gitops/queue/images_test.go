package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestImagesOf has deliveries of each kind of principal: only a registry's event and a poll
// say what is there, and an image counts once.
func TestImagesOf(t *testing.T) {
	updates := []gitops.Update{
		{Environment: "dev", App: "api", Repository: "r/api", Tag: "v1", Digest: "sha256:a"},
		{Environment: "prod", App: "api", Repository: "r/api", Tag: "v1", Digest: "sha256:a"},
		{Environment: "dev", App: "web", Repository: "r/web", Tag: "v1", Digest: "sha256:a"},
		{Environment: "dev", App: "db", Repository: "r/db", Tag: "v1"},
	}
	by := gitops.DeliveryKey{Source: "eventbridge", ID: "1"}
	both := []gitops.SeenImage{{Repository: "r/api", Tag: "v1", Digest: "sha256:a", By: by}, {Repository: "r/web", Tag: "v1", Digest: "sha256:a", By: by}}
	for principal, want := range map[string][]gitops.SeenImage{
		"push:eventbridge/123456789012": both, "poll:ghcr.io": both,
		"dispatch:1": nil, "job:1@https://push:1": nil, "token:push:x": nil, "pushes:x": nil, "push": nil, "": nil,
	} {
		got := queue.ImagesOf(gitops.Delivery{Source: by.Source, ID: by.ID, Principal: principal, Updates: updates})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", principal, diff)
		}
	}
}
