//go:build unix

package registry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// Debian's registry is of the old kind: it hides an index from clients that do not accept one,
// has no Links, and ignores n. What was proven in process must hold for it, too.
func TestDistribution(t *testing.T) {
	d := registrytest.StartDistribution(t)
	key, err := cosign.ParseKey("cosign.pub", cosigntest.PublicPEM(t, cosigntest.NewKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, registry.Config{Verify: cosign.Verify})
	q := image.Question{Repository: d.Host() + "/acme/api", Tag: "v1", Platforms: true}
	wantAbsent(t, ask(t, c, q))
	if err := c.Tags(t.Context(), q.Repository, func([]string) error { return nil }); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("the tags of what is not there: %v", err)
	}
	for _, docker := range []bool{false, true} {
		i := twoPlatforms
		i.Docker = docker
		pushed := d.Push("acme/api", "v1", i)
		answer := ask(t, c, q)
		wantDigest(t, answer, pushed.Digest)
		if diff := cmp.Diff([]image.Platform{amd64, arm64}, answer.Platforms); diff != "" {
			t.Error(diff)
		}
		single := d.Push("acme/api", "v1", registrytest.Image{Docker: docker})
		answer = ask(t, c, q)
		wantDigest(t, answer, single.Digest)
		if diff := cmp.Diff([]image.Platform{amd64}, answer.Platforms); diff != "" {
			t.Error(diff)
		}
	}
	want := []string{"v1"}
	for i := range 150 {
		want = append(want, fmt.Sprintf("v2.%d", i))
	}
	d.Tag("acme/api", "v1", want[1:]...)
	got, _ := list(t, c, d.Host())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d tags, want %d", len(got), len(want))
	}
	unsigned := ask(t, c, image.Question{Repository: q.Repository, Tag: "v1", SignedBy: key})
	if unsigned.Unsigned == "" || !unsigned.Pending {
		t.Errorf("without a signature: %+v", unsigned)
	}
}
