package holds

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// view is what holds as of one revision, and the store's clock. Immutable.
type view struct {
	revision int64
	read     time.Time     // when it was asked for, by this process's clock
	ahead    time.Duration // how far the store's clock is ahead of that

	everyApp []placed            // holds of all apps
	byApp    map[string][]placed // the others, by each app that they name
}

// placed is a hold with its place in the order in which holds were placed.
type placed struct {
	place int
	gitops.Hold
}

// clockFor is how long the store's clock is known: this process's may be set, or stand
// still while the machine is suspended.
const clockFor = 10 * time.Second

// look returns what holds now. It costs one read of the revision, and where that is another
// one of all holds.
func (b *Book) look(ctx context.Context) (*view, error) {
	if known := b.latest.Load(); known != nil && time.Since(known.read).Abs() < clockFor {
		revision, err := b.store.HoldsRevision(ctx)
		if err != nil {
			return nil, err
		}
		if revision == known.revision {
			return known, nil
		}
	}
	asked := time.Now()
	all, err := b.store.HoldsInForce(ctx)
	if err != nil {
		return nil, err
	}
	v := newView(all, asked)
	b.latest.Store(v)
	return v, nil
}

func newView(all queue.InForce, asked time.Time) *view {
	v := &view{revision: all.Revision, read: asked, ahead: all.At.Sub(asked), byApp: make(map[string][]placed)}
	for i, h := range all.Holds {
		if len(h.Apps) == 0 {
			v.everyApp = append(v.everyApp, placed{i, h})
		}
		for _, app := range h.Apps {
			v.byApp[app] = append(v.byApp[app], placed{i, h})
		}
	}
	return v
}

// now is the store's clock.
func (v *view) now() time.Time { return time.Now().Add(v.ahead).UTC() }

// about are the holds that may be about an app, in the order in which they were placed: of
// ten thousand holds these are few.
func (v *view) about(app string) []gitops.Hold {
	every, own := v.everyApp, v.byApp[app]
	holds := make([]gitops.Hold, 0, len(every)+len(own))
	for len(every)+len(own) > 0 {
		if len(own) == 0 || len(every) > 0 && every[0].place < own[0].place {
			holds, every = append(holds, every[0].Hold), every[1:]
		} else {
			holds, own = append(holds, own[0].Hold), own[1:]
		}
	}
	return holds
}
