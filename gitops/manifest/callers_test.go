package manifest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestACallerThatGivesUpBeforeThePushLeavesNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	hold := o.holdPush(gitserver.Fault{})
	first := writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	ctx, cancel := context.WithCancel(t.Context())
	waits := writeSoon(ctx, w, o.update("prod", "shop", "v1.0.0"))
	stays := writeSoon(t.Context(), w, o.update("staging", "shop", "main-0000001"))
	awaitCalls(w, 3)
	cancel()
	r := <-waits // although the push is still held
	if gitops.CodeOf(r.err) != gitops.Unavailable || !errors.Is(r.err, context.Canceled) || len(r.settled) != 0 {
		t.Fatalf("the one that gave up got %v and %v", r.settled, r.err)
	}
	close(hold.release)
	one, two := <-first, <-stays
	if one.err != nil || two.err != nil {
		t.Fatal(one.err, two.err)
	}
	o.check(append(one.settled, two.settled...)...)
}

func TestACallerInAPushGetsItsResult(t *testing.T) { overEach(t, testACallerInAPushGetsItsResult) }

func testACallerInAPushGetsItsResult(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	hold := o.holdPush(gitserver.Fault{})
	ctx, cancel := context.WithCancel(t.Context())
	done := writeSoon(ctx, w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	cancel()
	close(hold.release)
	r := <-done
	if r.err != nil || len(r.settled) != 1 || r.settled[0].Action != gitops.ActionCommit {
		t.Fatalf("got %v and %v, want its commit", r.settled, r.err)
	}
	o.check(r.settled...)
}

// A caller whose push lost the race is let go before the next one.
func TestACallerThatGaveUpIsNotInTheNextAttempt(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
	hold := o.holdPush(gitserver.Fault{})
	ctx, cancel := context.WithCancel(t.Context())
	done := writeSoon(ctx, w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	cancel()
	// The writer sees the caller's wish before the push ends, or it would go on.
	for leaving := false; !leaving; runtime.Gosched() {
		w.queue.mu.Lock()
		leaving = w.queue.calls[0].leaving != nil
		w.queue.mu.Unlock()
	}
	close(hold.release)
	if r := <-done; gitops.CodeOf(r.err) != gitops.Unavailable || len(r.settled) != 0 {
		t.Fatalf("got %v and %v", r.settled, r.err)
	}
	o.check(o.write(w, o.update("prod", "shop", "v1.0.0"))...)
}

func TestEverybodyWaitingSharesTheNewsThatTheRemoteIsDown(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.ResetCounts()
	hold := o.holdPush(gitserver.Fault{Status: 503})
	o.server.Inject(gitserver.Fault{Times: -1, Status: 503})
	all := []<-chan result{writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000001"))}
	<-hold.arrived
	for n := range 10 {
		all = append(all, writeSoon(t.Context(), w, o.update("prod", "shop", fmt.Sprintf("v1.0.%d", n))))
	}
	awaitCalls(w, len(all))
	close(hold.release)
	for _, done := range all {
		if r := <-done; gitops.CodeOf(r.err) != gitops.Unavailable {
			t.Errorf("got %v and %v, want unavailable", r.settled, r.err)
		}
	}
	if n := o.server.Counts().Total(); n != 2 {
		t.Errorf("%d requests while the server is down, want the push and one look", n)
	}
	o.check()
}

func TestAServerThatAsksForATimeIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	var mu sync.Mutex
	at := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	w := o.writer(func(c *Config) { c.Now = clock })
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := o.update("dev", "shop", "main-0000001")
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Status: 429, Header: map[string][]string{"Retry-After": {"60"}}})
	o.server.ResetCounts()
	for _, left := range []time.Duration{60 * time.Second, 40 * time.Second, 20 * time.Second} {
		_, err := writeAll(t.Context(), w, u)
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.RateLimited || e.RetryAfter != left {
			t.Fatalf("got %v, want rate_limited for %s", err, left)
		}
		mu.Lock()
		at = at.Add(20 * time.Second)
		mu.Unlock()
	}
	if n := o.server.Counts().Total(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	o.check(o.write(w, u)...)
}

func TestCloseAwaitsThePush(t *testing.T) { overEach(t, testCloseAwaitsThePush) }

func testCloseAwaitsThePush(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	hold := o.holdPush(gitserver.Fault{})
	done := writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	waits := writeSoon(t.Context(), w, o.update("prod", "shop", "v1.0.0"))
	awaitCalls(w, 2)
	w.stop()
	close(hold.release)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil {
		t.Fatalf("the push that was on its way: %v", r.err)
	}
	if r := <-waits; gitops.CodeOf(r.err) != gitops.Unavailable {
		t.Errorf("the one that waited: %v, want unavailable", r.err)
	}
	if _, err := writeAll(t.Context(), w, o.update("prod", "shop", "v1.0.1")); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
	if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a handshake after Close: %v, want unavailable", err)
	}
	o.check(r.settled...)
}

// While the server wants to be left alone, readers leave it alone, too.
func TestReadersLeaveAServerAloneThatAsksForATime(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Status: 429, Header: map[string][]string{"Retry-After": {"60"}}})
	if _, err := writeAll(t.Context(), w, o.update("dev", "shop", "main-0000001")); gitops.CodeOf(err) != gitops.RateLimited {
		t.Fatal(err)
	}
	o.server.ResetCounts()
	var e *gitops.Error
	if _, err := w.View(t.Context(), 0); !errors.As(err, &e) || e.Code != gitops.RateLimited || e.RetryAfter <= 0 {
		t.Errorf("a view: %v, want rate_limited", err)
	}
	if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.RateLimited {
		t.Errorf("a handshake: %v, want rate_limited", err)
	}
	if n := o.server.Counts().Total(); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// A writer that waits for the server makes no step; one that has nothing to do is
// not taken to hang.
func TestTheLastStepTellsAWriterThatHangs(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := o.holdPush(gitserver.Fault{})
	done := writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	arrived := time.Now()
	if last := w.LastStep(); last.After(arrived) || w.LastStep() != last {
		t.Errorf("the last step was at %s, and the push has not been answered since %s", last, arrived)
	}
	close(hold.release)
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
	for w.clock.at.Load() != 0 {
		runtime.Gosched()
	}
	if last := w.LastStep(); !last.After(arrived) {
		t.Errorf("of an idle writer the last step was at %s", last)
	}
}
