package git

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// counted is a remote that fails, and counts how often it is asked.
type counted struct {
	Remote
	err   error
	calls int
}

func (c *counted) Refs(context.Context, string, string, ...string) (Advertisement, error) {
	c.calls++
	return Advertisement{}, c.err
}

func (c *counted) Fetch(context.Context, FetchRequest, Source) (map[Hash]Object, error) {
	c.calls++
	return nil, c.err
}

func (c *counted) Push(context.Context, PushRequest) error {
	c.calls++
	return c.err
}

// One remote is asked for a pause, and all that share the breaker are silent for it.
func TestAServerThatAsksForAPauseIsLeftAloneByEverybody(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	b := NewBreaker(func() time.Time { return now })
	limited, other := &counted{err: &statusError{code: 429, limited: true, retryAfter: time.Minute}}, &counted{}
	first, second := b.Guard(limited), b.Guard(other)
	if _, err := first.Refs(t.Context(), UploadPack, "main"); !errors.Is(err, limited.err) {
		t.Fatalf("got %v", err)
	}
	now = now.Add(20 * time.Second)
	_, refs := second.Refs(t.Context(), UploadPack, "main")
	_, fetch := second.Fetch(t.Context(), FetchRequest{}, nil)
	for _, err := range []error{b.Err(), refs, fetch, second.Push(t.Context(), PushRequest{})} {
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.RateLimited || e.RetryAfter != 40*time.Second {
			t.Errorf("got %v, want rate_limited for the rest of the time", err)
		}
		if !ResultKnown(err) || !RejectedBeforeGit(err) {
			t.Errorf("%v: nothing was sent", err)
		}
	}
	if other.calls != 0 {
		t.Errorf("%d calls came through", other.calls)
	}
	now = now.Add(40 * time.Second)
	if err := second.Push(t.Context(), PushRequest{}); err != nil || other.calls != 1 {
		t.Errorf("afterwards: %v and %d calls", err, other.calls)
	}
	other.err = &statusError{code: 503}
	if err := second.Push(t.Context(), PushRequest{}); err == nil || b.Err() != nil {
		t.Error("an error that asks for no pause opened the breaker")
	}
}
