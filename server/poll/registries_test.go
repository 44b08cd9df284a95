package poll_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// lists is a registry of both kinds that has one page.
type lists struct {
	tags   []string
	images []ecr.Image
	asked  []string
}

func (l *lists) Host(string) string { return "host" }

func (l *lists) Tags(_ context.Context, repository string, each func(page []string) error) error {
	l.asked = append(l.asked, repository)
	return each(l.tags)
}

func (l *lists) Images(_ context.Context, host, repository string, each func(page []ecr.Image) error) error {
	l.asked = append(l.asked, host+" "+repository)
	return each(l.images)
}

// Of ECR an image has its digest and its push for each of its tags; of all others there are
// the tags. What becomes of a page ends the list.
func TestRegistries(t *testing.T) {
	pushedAt := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := &lists{tags: []string{"1.0.0", "1.1.0"}, images: []ecr.Image{{Tags: []string{"a", "b"}, Digest: "sha256:1", PushedAt: pushedAt}, {Tags: []string{"c"}, Digest: "sha256:2"}}}
	r := poll.Registries{Tags: l, ECR: ecrOf{l}}
	enough := errors.New("enough")
	for name, want := range map[string][]poll.Image{
		ghcr:                            {{Tag: "1.0.0"}, {Tag: "1.1.0"}},
		ecrAPI:                          {{Tag: "a", Digest: "sha256:1", PushedAt: pushedAt}, {Tag: "b", Digest: "sha256:1", PushedAt: pushedAt}, {Tag: "c", Digest: "sha256:2"}},
		"registry.example:5000/a/b/ecr": {{Tag: "1.0.0"}, {Tag: "1.1.0"}},
	} {
		l.asked = nil
		var got []poll.Image
		err := r.Images(t.Context(), name, func(page []poll.Image) error { got = page; return enough })
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, enough) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if name == ecrAPI {
			name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com shop/api"
		}
		if diff := cmp.Diff([]string{name}, l.asked); diff != "" {
			t.Error(diff)
		}
	}
}

// ecrOf has the Images of lists, beside its Tags.
type ecrOf struct{ *lists }
