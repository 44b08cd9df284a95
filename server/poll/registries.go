package poll

import (
	"context"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
)

// Tags lists tags as any registry does; see registry.Client.
type Tags interface {
	Host(repository string) string
	Tags(ctx context.Context, repository string, each func(page []string) error) error
}

// ECR lists images as ECR does, with their digests and when they were pushed; see ecr.Client.
type ECR interface {
	Images(ctx context.Context, host, repository string, each func(page []ecr.Image) error) error
}

// Registries is a [Registry] of ECR and all others.
type Registries struct {
	Tags
	ECR ECR
}

// Images implements [Registry].
func (r Registries) Images(ctx context.Context, repository string, each func(page []Image) error) error {
	if _, isECR := policy.ParseECR(repository); !isECR {
		return r.Tags.Tags(ctx, repository, func(page []string) error {
			images := make([]Image, len(page))
			for i, tag := range page {
				images[i].Tag = tag
			}
			return each(images)
		})
	}
	host, name, _ := strings.Cut(repository, "/")
	return r.ECR.Images(ctx, host, name, func(page []ecr.Image) error {
		images := make([]Image, 0, len(page))
		for _, image := range page {
			for _, tag := range image.Tags {
				images = append(images, Image{Tag: tag, Digest: image.Digest, PushedAt: image.PushedAt})
			}
		}
		return each(images)
	})
}
