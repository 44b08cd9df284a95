package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// errDone ends a Follow, and errAgain has it open its stream again.
var (
	errDone  = errors.New("done")
	errAgain = errors.New("again")
)

// lookOnceMore bounds the last look at updates that are not waited for any longer.
const lookOnceMore = 5 * time.Second

// Await follows updates of one delivery until each has come as far as is enough, and brings
// each up to date in its place. It hands each new state of one to progress, with its steps.
// One that has come so far and is in a final state is looked at no more. While the stream cannot be opened, as when too many are
// open, it polls. When ctx ends it looks once more: when all had come so far by then there
// is no error.
func (c *Client) Await(ctx context.Context, updates []gitops.Update, enough func(gitops.Update) bool, progress func(gitops.Update)) error {
	w := awaiting{client: c, updates: updates, open: make(map[string]int, len(updates)), enough: enough, progress: progress}
	for i, u := range updates {
		w.open[u.ID] = i
	}
	poll := func(error) error {
		if err := w.look(ctx); !errors.Is(err, errAgain) {
			return err
		}
		return nil
	}
	standing := func() error { return w.look(ctx) }
	err := c.Follow(ctx, url.Values{"delivery": {updates[0].Delivery.String()}}, "", standing, func(e Event) error {
		u := cmp.Or(e.Update, e.Rollout)
		if u == nil {
			return nil
		}
		return w.lookAt(ctx, u.ID)
	}, poll)
	if ctx.Err() != nil && !errors.Is(err, errDone) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookOnceMore)
		defer cancel()
		if errors.Is(w.look(last), errDone) {
			return nil
		}
	}
	if errors.Is(err, errDone) {
		err = nil
	}
	return err
}

// awaiting are updates that are waited for.
type awaiting struct {
	client   *Client
	updates  []gitops.Update
	open     map[string]int // those that may still come further, as far as is known, by id
	enough   func(gitops.Update) bool
	progress func(gitops.Update)
}

// look asks for all that are open: errDone when all have come so far as is wanted.
func (w *awaiting) look(ctx context.Context) error {
	if len(w.updates) == 1 {
		return w.lookAt(ctx, w.updates[0].ID)
	}
	d, err := w.client.Delivery(ctx, w.updates[0].Delivery.String())
	return w.take(d.Updates, err)
}

// lookAt asks for one, if it is open.
func (w *awaiting) lookAt(ctx context.Context, id string) error {
	if _, open := w.open[id]; !open {
		return nil
	}
	u, err := w.client.Update(ctx, id)
	return w.take([]gitops.Update{u}, err)
}

// take notes what the server says now.
func (w *awaiting) take(now []gitops.Update, err error) error {
	if err != nil && later(err) {
		return errAgain // some may have ended already, and then the stream sends nothing
	}
	if err != nil {
		return err
	}
	for _, u := range now {
		i, open := w.open[u.ID]
		if !open {
			continue
		}
		w.updates[i] = u
		w.progress(u)
		if u.State.Final() && w.enough(u) {
			delete(w.open, u.ID)
		}
	}
	for _, i := range w.open {
		if !w.enough(w.updates[i]) {
			return nil
		}
	}
	return errDone
}
