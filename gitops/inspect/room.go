// Package inspect finds out whether the images of updates are there before they are
// written. It asks registries in the background, and says what it knows at once.
package inspect

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Registry asks registries. Safe for concurrent use.
type Registry interface {
	// Look asks a registry for a tag. That it is not there is no error: see
	// [image.Answer]. An error is a [gitops.Error], whose code says whose it is:
	// RateLimited, with RetryAfter where the registry says, and Unavailable are the
	// host's; Unauthorized and Forbidden are the repository's, or the host's where it
	// answers nothing else; all others are this image's.
	Look(ctx context.Context, q image.Question) (image.Answer, error)
	// Host is the host that would be asked about a repository: what backs off together. It
	// does not block.
	Host(repository string) string
}

// Seen knows which images were seen before; see queue.Images.
type Seen interface {
	SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error)
}

// Recorder counts.
type Recorder interface {
	// Inspected is called once for each verdict of an update that is final.
	Inspected(environment string, outcome image.Outcome)
}

// Config is what a room needs. Registry and Rules are called with the room locked: they
// must not block, and not call it.
type Config struct {
	Registry func() Registry // the one in force
	Seen     Seen
	// Rules are the environment's; false where its images are not inspected.
	Rules    func(environment string) (image.Rules, bool)
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Room inspects the images of updates. It implements lane.Images. Safe for concurrent use.
type Room struct {
	Config
}

// New makes a room. It does nothing until it is asked.
func New(c Config) *Room { return &Room{Config: c} }

// Close ends what the room has begun, and waits for that. Nothing is found out afterwards.
func (r *Room) Close() {}

// Reconfigured has all that waits judged again: call it when what Registry or Rules return
// has changed. Registries that are away are asked again at once, except those that said
// until when they must not be.
func (r *Room) Reconfigured() {}

// Inspect implements lane.Images.
func (r *Room) Inspect(updates []gitops.Update) []gitops.Inspection { return nil }

// Changed implements lane.Images.
func (r *Room) Changed(environment string) <-chan struct{} { return nil }

// Freed implements lane.Images.
func (r *Room) Freed(environment string) []string { return nil }

// Leave implements lane.Images.
func (r *Room) Leave(environment string) {}

// Waiting says how many updates of each environment wait for their images.
func (r *Room) Waiting() map[string]int { return nil }

// Unavailable says since when registries do not answer, by host.
func (r *Room) Unavailable() map[string]time.Time { return nil }
