package registry

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Look asks a registry for a tag. That it is not there is an answer, not an error: the errors
// are RateLimited, Unavailable, Forbidden and Unauthorized, with RetryAfter where the
// registry says when to come again, and Invalid for what no registry can be asked.
func (c *Client) Look(ctx context.Context, q image.Question) (image.Answer, error) {
	r, err := c.repository(q.Repository)
	if err != nil {
		return image.Answer{}, err
	}
	if err := checkTag(q.Tag); err != nil {
		return image.Answer{}, err
	}
	ctx, read := c.withReading(ctx)
	defer read.end()
	answer := image.Answer{At: c.config.Now(), Thorough: q.Thorough, Presence: image.Present}
	found, err := r.resolve(ctx, q.Tag, q.Thorough)
	if err != nil {
		return image.Answer{}, err
	}
	if found == nil {
		answer.Presence = c.absent(ctx, r, q)
		return answer, nil
	}
	answer.Digest = found.digest.String()
	if q.Platforms {
		if err := r.describe(ctx, found, &answer); err != nil {
			return image.Answer{}, err
		}
	}
	if err := c.checkSignatures(ctx, r, q, &answer); err != nil {
		return image.Answer{}, err
	}
	return answer, nil
}

// absent says what a 404 means: ECR answers it for an image in its archive, too.
func (c *Client) absent(ctx context.Context, r *repository, q image.Question) image.Presence {
	if !r.host.ecr || !c.archived.due(q.Repository+":"+q.Tag, q.Thorough, c.config.Now()) {
		return image.Absent
	}
	presence, err := c.config.ECR.Presence(ctx, r.host.name, r.path, q.Tag)
	if before := r.host.archiveUnknown.Swap(err != nil); err != nil && !before {
		c.config.Logger.WarnContext(ctx, "cannot tell an archived image from an absent one", "host", r.host.name, "repository", r.path, "tag", q.Tag, "error", err)
	}
	if err == nil && presence == image.Archived {
		return image.Archived
	}
	return image.Absent // also where ECR has it by now: the next look finds it
}

// asked bounds how often ECR is asked about one image that is looked for again and again:
// its API allows few calls.
type asked struct {
	mu sync.Mutex
	at map[string]time.Time // by image
}

const askArchiveAgain = 30 * time.Second

// due reports whether it is time to ask about an image, and notes that it is asked.
func (a *asked) due(name string, always bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, at := range a.at {
		if now.Sub(at) >= askArchiveAgain {
			delete(a.at, name)
		}
	}
	if _, recently := a.at[name]; recently && !always {
		return false
	}
	if a.at == nil {
		a.at = make(map[string]time.Time)
	}
	a.at[name] = now
	return true
}
