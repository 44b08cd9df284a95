package webhook

import (
	"context"
	"log/slog"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// MovedTags is what it takes to leave an image out whose tag named another one before.
type MovedTags struct {
	// SeenImages returns what is known of tags; see queue.Images.
	SeenImages func(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error)
	Refuses    func(environment string) bool // whether an environment refuses moved tags
	Refused    func(environment string)      // is told of each update that was left out
}

// leaveOutMoved leaves out of the plan of a push or a poll the updates whose tag named
// another image before, where their environment refuses that, and returns them. The reason
// has a sentence for each environment in which something was left out; where nothing
// remains the event is ignored. Without the store's answer nothing is known, and the event
// is not to be accepted.
func (in *Intake) leaveOutMoved(ctx context.Context, by gitops.Principal, d *gitops.Delivery) (moved []gitops.Update, err error) {
	if kind := by.Kind(); in.Moved == nil || kind != gitops.KindPush && kind != gitops.KindPoll {
		return nil, nil
	}
	remaining := make([]gitops.Update, 0, len(d.Updates))
	seen := make(seenByRepository)
	var reasons []string
	left := make(map[string]bool) // environments
	for _, u := range d.Updates {
		why, err := in.whyMoved(ctx, d.Principal, u, seen)
		switch {
		case err != nil:
			return nil, err
		case why == "":
			remaining = append(remaining, u)
			continue
		}
		moved = append(moved, u)
		if !left[u.Environment] { // of several apps the first stands for all
			left[u.Environment] = true
			reasons = append(reasons, u.Environment+": "+why)
		}
	}
	if len(moved) == 0 {
		return nil, nil
	}
	if d.Reason != "" {
		reasons = append([]string{d.Reason}, reasons...)
	}
	d.Updates, d.Reason = remaining, strings.Join(reasons, "; ")
	if len(remaining) == 0 {
		d.Outcome = gitops.OutcomeIgnored
	}
	return moved, nil
}

// seenByRepository are the images that were seen of the one tag that an event has.
type seenByRepository map[string][]gitops.SeenImage

// whyMoved says why an update's image is not the one that its tag named before; "" where it
// is, or need not be.
func (in *Intake) whyMoved(ctx context.Context, principal string, u gitops.Update, seen seenByRepository) (why string, err error) {
	if u.Digest == "" || !in.Moved.Refuses(u.Environment) {
		return "", nil
	}
	if _, read := seen[u.Repository]; !read {
		if seen[u.Repository], err = in.Moved.SeenImages(ctx, u.Repository, []string{u.Tag}); err != nil {
			return "", err
		}
	}
	u.Principal = principal
	why, _ = image.Moved(u, seen[u.Repository])
	return why, nil
}

// recordMoved counts and logs the updates that were left out of a delivery: somebody may
// have replaced an image that was released.
func (in *Intake) recordMoved(ctx context.Context, key gitops.DeliveryKey, moved []gitops.Update) {
	for _, u := range moved {
		in.Moved.Refused(u.Environment)
		in.Logger.WarnContext(ctx, "moved tag refused", slog.String("delivery", key.String()), slog.String("environment", u.Environment), slog.String("app", u.App),
			slog.String("repository", u.Repository), slog.String("tag", u.Tag), slog.String("digest", u.Digest))
	}
}
