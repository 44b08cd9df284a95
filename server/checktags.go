package server

import (
	"context"
	"errors"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// errListed ends a list whose first page has come.
var errListed = errors.New("the tags are listed")

// canList says why a repository's tags are not listed, which is what a poll does: some registries
// want another permission for it than for an image. ECR is polled by the call that facts makes.
func (c *imageCheck) canList(ctx context.Context, repository string) error {
	if _, isECR := policy.ParseECR(repository); isECR {
		return nil
	}
	c.mu.Lock()
	if c.lists == nil {
		c.lists = make(map[string]func() error)
	}
	if c.lists[repository] == nil {
		c.lists[repository] = sync.OnceValue(func() error {
			err := c.tags.Tags(ctx, repository, func([]string) error { return errListed })
			if errors.Is(err, errListed) || gitops.CodeOf(err) == gitops.NotFound { // of no repository its image is said not to be there
				return nil
			}
			if err != nil {
				return gitops.Errorf(gitops.CodeOf(err), "%s cannot be polled, since its tags cannot be listed: %s", repository, gitops.PublicOf(err)).WithCause(err)
			}
			return nil
		})
	}
	ask := c.lists[repository]
	c.mu.Unlock()
	return ask()
}
