package client

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Event is one thing of the stream. Exactly one of Delivery, Update, Rollout and Hold is set.
type Event struct {
	Cursor   string
	Delivery *gitops.Delivery
	Update   *gitops.Update
	Rollout  *gitops.Update // that came to stand elsewhere in the cluster
	Hold     *gitops.Hold   // that was placed or lifted
}

// Waits between two connections of a stream: as the server asks, doubled each time.
const (
	usualWait   = time.Second
	longestWait = 10 * time.Second
)

// silence is how long a stream may send nothing: the server sends something at least
// every 17 s, so the connection is broken, or a proxy holds it back.
const silence = time.Minute

// position is where a stream is.
type position struct {
	after string        // the cursor of the last block
	retry time.Duration // what the server asked clients to wait
}

// Follow hands every event from now on, or after the cursor, to handle, until ctx
// ends or handle or standing returns an error, which it returns. A stream that breaks
// or falls silent is opened again at its cursor. Each time that it is open, the first
// included, it calls standing: no event after that is missed. One that the server's
// store lost, because it was restored from a backup, is not handed on. Each time that
// the stream cannot be opened for now it calls away with why, whose error ends it, too.
func (c *Client) Follow(ctx context.Context, filter url.Values, after string, standing func() error, handle func(Event) error, away func(error) error) error {
	at := position{after: after, retry: usualWait}
	var wait time.Duration
	for {
		stood := false
		err := c.stream(ctx, filter, &at, func() error { stood = true; return standing() }, handle)
		var own handled
		switch {
		case errors.Is(err, errAgain):
		case lostCursor(err) && at.after != "" && at.after != after:
			at.after = "" // the store lost its newest changes: it was restored, and goes on from there
		case errors.As(err, &own):
			return own.error
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !later(err):
			return err
		case err != nil && !stood:
			if err := away(err); err != nil {
				return err
			}
		}
		if wait = min(2*wait, longestWait); stood || wait == 0 {
			wait = at.retry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lostCursor reports whether the server does not know the cursor of a stream.
func lostCursor(err error) bool {
	var e *gitops.Error
	return errors.As(err, &e) && e.Code == gitops.Invalid && e.Field == "cursor"
}

// later reports whether the server may answer differently in a moment.
func later(err error) bool {
	code := gitops.CodeOf(err)
	return code == gitops.Unavailable || code == gitops.RateLimited || code == gitops.Internal
}

// handled marks an error of the caller's.
type handled struct{ error }

func (h handled) Unwrap() error { return h.error }

// stream follows one connection to its end.
func (c *Client) stream(ctx context.Context, filter url.Values, at *position, standing func() error, handle func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(silence, cancel)
	defer silent.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if at.after != "" {
		header.Set("Last-Event-ID", at.after)
	}
	resp, err := c.send(ctx, http.MethodGet, "/api/v1/events", filter, header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := standing(); err != nil {
		return handled{err}
	}
	err = readEvents(resp.Body, func(e rawEvent) error {
		silent.Reset(silence)
		at.after = cmp.Or(e.id, at.after)
		if ms, err := strconv.Atoi(e.retry); err == nil && ms > 0 {
			at.retry = min(time.Duration(ms)*time.Millisecond, longestWait)
		}
		event, err := e.decode()
		if err != nil || event == (Event{Cursor: event.Cursor}) {
			return err
		}
		if err := handle(event); err != nil {
			return handled{err}
		}
		return nil
	})
	if err == nil || errors.As(err, new(handled)) {
		return err
	}
	return gitops.Errorf(gitops.Unavailable, "the stream of %s broke off", c.base.Host).WithCause(err)
}

// rawEvent is a block of the stream.
type rawEvent struct{ id, kind, data, retry string }

// maxLine bounds a line of a stream: a delivery of many updates is some hundred
// kilobytes.
const maxLine = 16 << 20

// readEvents reads blocks as WHATWG HTML, section 9.2.6, has them, those without
// data included, for their ids count too.
func readEvents(r io.Reader, handle func(rawEvent) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var e rawEvent
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			if err := handle(e); err != nil {
				return err
			}
			e = rawEvent{}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "retry":
			e.retry = value
		case "data":
			e.data = strings.TrimPrefix(e.data+"\n"+value, "\n")
		}
	}
	return lines.Err()
}

// decode reads a block's data; nothing of a kind that is unknown.
func (e rawEvent) decode() (Event, error) {
	event := Event{Cursor: e.id}
	var into any
	switch e.kind {
	case "delivery":
		event.Delivery = new(gitops.Delivery)
		into = event.Delivery
	case "update":
		event.Update = new(gitops.Update)
		into = event.Update
	case "rollout":
		event.Rollout = new(gitops.Update)
		into = event.Rollout
	case "hold":
		event.Hold = new(gitops.Hold)
		into = event.Hold
	default:
		return event, nil
	}
	if err := json.Unmarshal([]byte(e.data), into); err != nil {
		return Event{}, gitops.Errorf(gitops.Unavailable, "an event of the stream cannot be read").WithCause(err)
	}
	return event, nil
}
