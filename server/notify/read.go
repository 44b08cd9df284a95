package notify

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/tallyman-dev/tallyman/gitops"
)

// read goes on in the feed until something is to be told, unless something is already. It may
// end before: then there is more to read at once.
func (f *follower) read(ctx context.Context) (more bool, err error) {
	if !f.begun {
		if err := f.begin(ctx); err != nil {
			return false, err
		}
	}
	for range pagesAtOnce {
		if f.next != nil {
			return false, nil
		}
		changes, err := f.Store.Changes(ctx, f.cursor, pageSize)
		if gitops.CodeOf(err) == gitops.Invalid {
			return false, f.beginAtLatest(ctx, err)
		}
		if err != nil || len(changes) == 0 {
			return false, err
		}
		for _, c := range changes {
			m, err := f.message(ctx, c)
			if err != nil {
				return false, err
			}
			if m != nil {
				f.next = &message{Message: *m, cursor: c.Cursor}
				break
			}
			f.cursor = c.Cursor
		}
	}
	return f.next == nil, nil
}

// checkpoint is what is kept for the next one who follows.
type checkpoint struct {
	Cursor string `json:"cursor"`
}

// begin goes on from the checkpoint. Without a checkpoint, what happened before is not told.
func (f *follower) begin(ctx context.Context) error {
	text, err := f.Store.Checkpoint(ctx, f.job())
	if err != nil {
		return err
	}
	var kept checkpoint
	if text == "" || json.Unmarshal([]byte(text), &kept) != nil {
		return f.beginAtLatest(ctx, nil)
	}
	f.saved, f.savedAt = &kept, f.Now()
	f.cursor, f.begun = kept.Cursor, true
	return nil
}

// beginAtLatest goes on from the newest change: there is no cursor, or the store does not
// know it any more.
func (f *follower) beginAtLatest(ctx context.Context, why error) error {
	latest, err := f.Store.Latest(ctx)
	if err != nil {
		return err
	}
	if why != nil {
		f.Logger.Warn("notifier goes on from the newest change", slog.String("notifier", f.Name), slog.String("error", why.Error()))
	}
	f.cursor, f.begun = latest, true
	return f.save(ctx)
}

// save keeps how far everything was told. Under a lease that may be another's by now nothing
// is kept: the other one does.
func (f *follower) save(ctx context.Context) error {
	if !f.begun || f.lease.Left() <= 0 {
		return nil
	}
	now := checkpoint{f.cursor}
	if f.saved == nil || now != *f.saved {
		text, _ := json.Marshal(now) // a text
		if err := f.Store.SetCheckpoint(ctx, f.job(), string(text)); err != nil {
			return err
		}
	}
	f.saved, f.savedAt = &now, f.Now()
	return nil
}
