package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	changesAtOnce  = 200                   // read from the store together, at most
	atLeastBetween = 50 * time.Millisecond // two looks at the store: a stream that follows a burst is no load
	lookAgain      = 2 * time.Second       // how late a change on another replica may be seen
	heartbeat      = 15 * time.Second      // proxies close what is silent for a minute
	askAgain       = 15 * time.Second      // how long a token that was revoked may still read
	writeWithin    = 10 * time.Second      // a reader that takes longer is disconnected; it comes back with its cursor
	reconnectAfter = 1000                  // what clients are asked to wait, in milliseconds
)

// events streams what changes as server-sent events (WHATWG HTML, section 9.2),
// from now on or from the cursor that Last-Event-ID or the parameter after names.
// A stream keeps nothing but its cursor: a slow reader delays no other, and can go
// on at any replica.
func (a *API) events(w http.ResponseWriter, r *http.Request) (int, any, error) {
	follow, err := followOf(r)
	if err != nil {
		return 0, nil, err
	}
	caller := callerOf(r)
	done, err := a.Shared.streams.take(caller.Principal.ID())
	if err != nil {
		return 0, nil, err
	}
	defer done()
	endTurn(r.Context())
	if follow.after == "" {
		if follow.after, err = a.Store.Latest(r.Context()); err != nil {
			return 0, nil, err
		}
	}
	// The first read is made before the answer begins, so that a cursor that is
	// invalid gets an error and no stream.
	changed := a.Store.Changed()
	first, err := a.Store.Changes(r.Context(), follow.after, a.memory.Load().Changes)
	if err != nil {
		return 0, nil, err
	}
	s := &stream{follow: follow, view: a.viewOf(caller), w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would collect it
	stillAuthorized := func() bool {
		caller, err := a.authenticated(r, gitops.RightRead)
		s.view = a.viewOf(caller)
		return err == nil
	}
	a.run(r.Context(), s, first, changed, stillAuthorized)
	return 0, nil, nil
}

// run writes changes until the reader is gone or its token is revoked, the server
// drains, or the store does not answer. The reader comes back with its last cursor.
func (a *API) run(ctx context.Context, s *stream, changes []queue.Change, changed <-chan struct{}, stillAuthorized func() bool) {
	if s.begin() != nil {
		return
	}
	asked := time.Now()
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		if time.Since(asked) >= askAgain {
			if asked = time.Now(); !stillAuthorized() {
				return
			}
		}
		if a.markOvertaken(ctx, updatesIn(changes)) != nil || s.send(changes) != nil {
			return
		}
		if len(changes) < a.memory.Load().Changes {
			select {
			case <-changed:
			case <-look.C:
			case <-ctx.Done():
				return
			case <-a.Drain:
				return
			}
		}
		select {
		case <-time.After(atLeastBetween):
		case <-ctx.Done():
			return
		case <-a.Drain: // there may be no end of changes
			return
		}
		changed = a.Store.Changed()
		var err error
		if changes, err = a.Store.Changes(ctx, s.follow.after, a.memory.Load().Changes); err != nil {
			return
		}
	}
}

// updatesIn are all updates of changes, to be changed in place.
func updatesIn(changes []queue.Change) (all []*gitops.Update) {
	for _, c := range changes {
		switch {
		case c.Update != nil:
			all = append(all, c.Update)
		case c.Delivery != nil:
			all = append(all, pointers(c.Delivery.Updates)...)
		}
	}
	return all
}

// follow says what a stream is about; an empty field means any.
type follow struct {
	after            string // the cursor of the last change that was looked at
	environment, app string
	delivery         string // a key
}

func followOf(r *http.Request) (follow, error) {
	q := queryOf(r)
	f := follow{
		after:       q.text("after"),
		environment: q.text("environment"),
		app:         q.text("app"),
		delivery:    q.text("delivery"),
	}
	if f.delivery != "" {
		var key gitops.DeliveryKey
		if err := key.UnmarshalText([]byte(f.delivery)); err != nil {
			q.fail(gitops.FieldErrorf("delivery", "must be SOURCE/ID"))
		}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		f.after = last
	}
	return f, q.done()
}

// wants reports whether the stream is about a change.
func (f follow) wants(c queue.Change) bool {
	if h := c.Hold; h != nil {
		return f.delivery == "" && (f.environment == "" || len(h.Environments) == 0 || slices.Contains(h.Environments, f.environment)) &&
			(f.app == "" || len(h.Apps) == 0 || slices.Contains(h.Apps, f.app))
	}
	if c.Update != nil {
		return f.wantsUpdate(*c.Update) && (f.delivery == "" || f.delivery == c.Update.Delivery.String())
	}
	if f.delivery != "" && f.delivery != c.Delivery.Key().String() {
		return false
	}
	if d := c.Delivery; d.Environment != "" && f.wantsUpdate(gitops.Update{Environment: d.Environment, App: d.App}) {
		return true
	}
	return f.environment == "" && f.app == "" || slices.ContainsFunc(c.Delivery.Updates, f.wantsUpdate)
}

func (f follow) wantsUpdate(u gitops.Update) bool {
	return (f.environment == "" || f.environment == u.Environment) && (f.app == "" || f.app == u.App)
}

// stream writes to one reader. Of the goroutine that serves it.
type stream struct {
	follow  follow
	view    view
	w       http.ResponseWriter
	control *http.ResponseController
	wrote   time.Time // when it was last written to
}

// begin sends the cursor that the stream begins with.
func (s *stream) begin() error {
	return s.write(fmt.Sprintf("retry: %d\nid: %s\n\n", reconnectAfter, s.follow.after))
}

// send writes the changes that the reader wants and may read. When there are none for a while it
// writes the cursor alone, so that a reader that comes back skips what it did not
// want.
func (s *stream) send(changes []queue.Change) error {
	var text strings.Builder
	for _, c := range changes {
		s.follow.after = c.Cursor
		kind, body := s.shown(c)
		if body == nil {
			continue
		}
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "id: %s\nevent: %s\ndata: %s\n\n", c.Cursor, kind, data)
	}
	if text.Len() == 0 && time.Since(s.wrote) >= heartbeat {
		fmt.Fprintf(&text, ": heartbeat\nid: %s\n\n", s.follow.after)
	}
	if text.Len() == 0 {
		return nil
	}
	return s.write(text.String())
}

// shown is what the reader gets of a change; nil is nothing. What it may not read is
// taken out first, so that a filter finds nothing in it.
func (s *stream) shown(c queue.Change) (kind string, body any) {
	if c.Hold != nil {
		if s.view.hold(*c.Hold) && s.follow.wants(c) {
			return "hold", c.Hold
		}
		return "", nil
	}
	if c.Update != nil {
		switch {
		case !s.view.update(*c.Update) || !s.follow.wants(c):
			return "", nil
		case c.Rollout:
			return "rollout", c.Update
		}
		return "update", c.Update
	}
	part, ok := s.view.delivery(*c.Delivery)
	if ok && s.follow.wants(queue.Change{Delivery: &part}) {
		return "delivery", withList(part)
	}
	return "", nil
}

func (s *stream) write(text string) error {
	s.wrote = time.Now()
	if err := s.control.SetWriteDeadline(s.wrote.Add(writeWithin)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
