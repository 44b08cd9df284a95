package poll

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const (
	maxPages = 1_000 // of one scan
	atOnce   = 1_000 // tags in one question to the store: a registry decides how large its pages are
)

// scan is one look at everything that a repository has.
type scan struct {
	*Poller
	site *Site
	target
	began  time.Time
	first  bool // it records, and orders nothing
	choice choice
	tags   int // that were read
	moved  int // tags that were refused
}

// errEnough ends a list that is longer than is read.
var errEnough = errors.New("no more pages are read")

// scan looks at one image's repository. An error means that it was not complete.
func (p *Poller) scan(ctx context.Context, site *Site, t target, pace *pace) error {
	s := &scan{Poller: p, site: site, target: t, began: p.Now()}
	last, err := p.lastScan(ctx, t.name)
	if err != nil {
		return err
	}
	s.first = last.IsZero()
	if err := pace.wait(ctx); err != nil {
		return err
	}
	pages := 0
	pace.sent() // also what fails was sent
	err = site.Registry.Images(ctx, t.name, func(page []Image) error {
		pace.sent()
		for some := range slices.Chunk(page, atOnce) {
			if err := s.read(ctx, some); err != nil {
				return err
			}
		}
		if pages++; pages == maxPages {
			return errEnough
		}
		return pace.wait(ctx)
	})
	if errors.Is(err, errEnough) {
		p.Logger.Warn("a repository has more tags than a poll reads, the rest is not found", slog.String("repository", t.name), slog.Int("pages", pages))
		err = nil
	}
	if err != nil {
		return err
	}
	if err := s.order(ctx); err != nil {
		return err
	}
	if err := p.Store.SetCheckpoint(ctx, checkpoint(t.name), s.began.Format(time.RFC3339)); err != nil {
		return err
	}
	if s.first {
		p.Logger.Info("images recorded", slog.String("repository", t.name), slog.Int("tags", s.tags), slog.String("effect", "the first poll of a repository orders nothing: what is pushed from now on is new"))
	}
	return nil
}

// checkpoint names that of an image.
func checkpoint(image string) string { return queue.PollCheckpoint + image }

// lastScan is when the last complete scan of an image began; zero when none was complete.
// A time that is still to come is that of a clock that was wrong: of it the scan is known.
func (p *Poller) lastScan(ctx context.Context, image string) (time.Time, error) {
	text, err := p.Store.Checkpoint(ctx, checkpoint(image))
	if err != nil || text == "" {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	if now := p.Now(); err != nil || at.After(now) {
		return now.Truncate(time.Second), nil
	}
	return at, nil
}

// read takes some tags in. What was never seen and is no place's best is recorded at once; a
// first scan records everything.
func (s *scan) read(ctx context.Context, page []Image) error {
	page = usable(page)
	s.tags += len(page)
	tags := make([]string, len(page))
	for i, image := range page {
		tags[i] = image.Tag
	}
	seen, err := s.Store.SeenImages(ctx, s.name, tags)
	if err != nil {
		return err
	}
	digests := make(map[string][]string, len(seen))
	for _, known := range seen {
		digests[known.Tag] = append(digests[known.Tag], known.Digest)
	}
	var unseen, record, moved []Image
	for _, image := range page {
		known, ok := digests[image.Tag]
		switch {
		case !ok && s.first:
			record = append(record, image)
		case !ok:
			unseen = append(unseen, image)
		case image.Digest == "" || slices.Contains(known, image.Digest):
		case slices.Contains(known, ""): // now there is a digest
			record = append(record, image)
		default:
			moved = append(moved, image)
		}
	}
	passed := s.choice.add(unseen, func(tag string) []place { return s.takers(s.site.Policy, tag) })
	if err := s.record(ctx, append(record, passed...), gitops.DeliveryKey{}); err != nil {
		return err
	}
	return s.refuse(ctx, moved)
}

// usable are the images that can be ordered at all: registries also list what belongs to an
// image, such as signatures, and proxies list what is not a tag.
func usable(page []Image) []Image {
	good := make([]Image, 0, len(page))
	for _, image := range page {
		if gitops.CheckTag("", image.Tag) != nil {
			continue
		}
		if gitops.CheckDigest("", image.Digest) != nil {
			image.Digest = ""
		}
		good = append(good, image)
	}
	return good
}

// record records images as seen.
func (s *scan) record(ctx context.Context, images []Image, by gitops.DeliveryKey) error {
	if len(images) == 0 {
		return nil
	}
	seen := make([]gitops.SeenImage, len(images))
	for i, image := range images {
		seen[i] = gitops.SeenImage{Repository: s.name, Tag: image.Tag, Digest: image.Digest, At: s.began, By: by}
	}
	return s.Store.RecordImages(ctx, seen)
}

// order orders what was chosen, each find by a delivery of its own, and then records it. A
// scan may take minutes: what is in force by now decides for whom.
func (s *scan) order(ctx context.Context) error {
	if len(s.choice.best) == 0 {
		return nil
	}
	s.site = s.Site()
	if err := s.record(ctx, s.choice.drop(targetsOf(s.site)[s.name].places), gitops.DeliveryKey{}); err != nil {
		return err
	}
	heads := make(map[gitops.Place]gitops.Head, len(s.choice.best))
	for at := range s.choice.best {
		head, err := s.Store.Head(ctx, at.Environment, at.App)
		if err != nil {
			return err
		}
		heads[at.Place] = head
	}
	ordered, left := s.choice.finds(heads, s.Now())
	for _, f := range ordered {
		key, err := s.accept(ctx, f)
		if err == nil {
			err = s.record(ctx, []Image{f.Image}, key)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range left {
		if err := s.leave(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// accept has the intake take in what was found.
func (s *scan) accept(ctx context.Context, f find) (gitops.DeliveryKey, error) {
	in, err := s.inbound(f)
	if err != nil {
		return gitops.DeliveryKey{}, err
	}
	d, accepted, err := s.site.Intake.Accept(ctx, in)
	if err != nil {
		return gitops.DeliveryKey{}, err
	}
	if accepted {
		for _, u := range d.Updates {
			s.Recorder.Ordered(u.Environment)
		}
	}
	return in.Event.Delivery, nil
}

// leave records what is not newer than what was accepted, and says so where only its time
// says that: it may be an old image that got a new tag, which an event would order.
func (s *scan) leave(ctx context.Context, f find) error {
	if err := s.record(ctx, []Image{f.Image}, gitops.DeliveryKey{}); err != nil || !f.late {
		return err
	}
	for _, at := range f.at {
		s.Logger.Info("a new tag is not ordered by the poll: its image was pushed before what was accepted last",
			slog.String("repository", s.name), slog.String("tag", f.Tag), slog.Time("pushedAt", f.PushedAt), slog.String("environment", at.Environment), slog.String("app", at.App))
	}
	return nil
}

// inbound is what was found as it comes to the intake. Its body is what the registry's list
// said.
func (s *scan) inbound(f find) (webhook.Inbound, error) {
	body, err := json.Marshal(struct {
		Image    string    `json:"image"`
		Tag      string    `json:"tag"`
		Digest   string    `json:"digest,omitempty"`
		PushedAt time.Time `json:"pushedAt,omitzero"`
	}{s.name, f.Tag, f.Digest, f.PushedAt})
	return webhook.Inbound{Event: f.event(s.name, s.registry), Body: body, Credential: "list of tags of " + s.registry, Recovered: true}, err
}
