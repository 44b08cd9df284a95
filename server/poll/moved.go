package poll

import (
	"context"
	"log/slog"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// mostMoved is how many moved tags one scan has refused.
const mostMoved = 100

// mostTold is how many deliveries are remembered that were refused.
const mostTold = 10_000

// told are ids of deliveries that were refused. The store may not have them: it keeps no more
// than some of a sender, and for a time.
type told struct {
	mu  sync.Mutex
	ids map[string]bool
}

// add reports whether an id was not there before.
func (t *told) add(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids[id] {
		return false
	}
	if t.ids == nil || len(t.ids) >= mostTold {
		t.ids = make(map[string]bool)
	}
	t.ids[id] = true
	return true
}

// refuse has the intake refuse tags that name another image than before, each digest once, in
// the environments that refuse that. It says which digest came when, and counts it.
func (s *scan) refuse(ctx context.Context, moved []Image) error {
	var finds []find
	var ids []string
	for _, image := range moved {
		f := find{Image: image}
		for _, at := range s.takers(s.site.Policy, image.Tag) {
			if at.refusesMoved {
				f.at = append(f.at, at.Place)
			}
		}
		if len(f.at) > 0 {
			finds, ids = append(finds, f), append(ids, deliveryID(s.name, f))
		}
	}
	if len(finds) == 0 {
		return nil
	}
	existing, err := s.Store.ExistingIDs(ctx, Source, ids)
	if err != nil {
		return err
	}
	for _, id := range existing {
		s.told.add(id)
	}
	for i, f := range finds {
		if s.moved == mostMoved {
			return nil
		}
		if !s.told.add(ids[i]) {
			continue
		}
		if s.moved++; s.moved == mostMoved {
			s.Logger.Warn("a repository has more moved tags than a poll refuses at once", slog.String("repository", s.name), slog.Int("refused", s.moved))
		}
		in, err := s.inbound(f)
		if err != nil {
			return err
		}
		in.Store = neverOrders
		if _, _, err := s.site.Intake.Accept(ctx, in); err != nil && gitops.CodeOf(err) == gitops.Unavailable {
			s.told.remove(ids[i])
			return err
		}
	}
	return nil
}

// neverOrders stores nothing: what the intake does not refuse was known before, too, and a
// poll does not order it.
func neverOrders(_ context.Context, d gitops.Delivery, _ webhook.Accept) (gitops.Delivery, bool, error) {
	return d, false, gitops.Errorf(gitops.Conflict, "a poll orders only tags that were never seen: order it by name")
}

// remove forgets an id.
func (t *told) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ids, id)
}
