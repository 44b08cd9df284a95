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

// awaitCalls waits until n calls wait for their turn or are in a push.
func awaitCalls(w *Writer, n int) {
	for {
		w.mu.Lock()
		open := 0
		for _, c := range w.calls {
			if !c.over {
				open++
			}
		}
		w.mu.Unlock()
		if open >= n {
			return
		}
		runtime.Gosched()
	}
}

// result is what a Write in the background returned.
type result struct {
	settled []gitops.Settlement
	err     error
}

func writeSoon(ctx context.Context, w *Writer, updates ...gitops.Update) <-chan result {
	done := make(chan result, 1)
	go func() {
		settled, err := w.Write(ctx, updates)
		done <- result{settled, err}
	}()
	return done
}

// held is a push that has reached the server and waits there.
type held struct {
	arrived chan struct{}
	release chan struct{}
}

func (o *origin) holdPush(f gitserver.Fault) held {
	h := held{make(chan struct{}), make(chan struct{})}
	f.On, f.Wait = gitserver.Push, h.release
	f.Before = func() { close(h.arrived) }
	o.server.Inject(f)
	return h
}

func TestWhatWaitsGoesOutInOnePush(t *testing.T) {
	o := newOrigin(t)
	recorder := &countingRecorder{}
	w := o.writer(func(c *Config) { c.Recorder = recorder })
	hold := o.holdPush(gitserver.Fault{})
	first := writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000000"))
	<-hold.arrived
	var waiting []<-chan result
	for _, environment := range testEnvironments {
		var batch []gitops.Update
		for n := range 30 {
			batch = append(batch, o.update(environment, testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n+1)))
		}
		waiting = append(waiting, writeSoon(t.Context(), w, batch...))
	}
	awaitCalls(w, 4)
	close(hold.release)
	all := (<-first).settled
	for _, done := range waiting {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		all = append(all, r.settled...)
	}
	if recorder.outcomes[PushLanded] != 2 {
		t.Errorf("the pushes ended as %v, want 2 that landed", recorder.outcomes)
	}
	if len(all) != 91 {
		t.Errorf("%d are settled, want 91", len(all))
	}
	o.check(all...)
}

// More than fits into one push goes out in several, and both lanes go forward.
func TestALargeBatchIsSplit(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	var dev, prod []gitops.Update
	for n := range maxPushUpdates {
		dev = append(dev, o.update("dev", testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
	}
	for n := range 10 {
		prod = append(prod, o.update("prod", "shop", fmt.Sprintf("v1.0.%d", n)))
	}
	hold := o.holdPush(gitserver.Fault{})
	first := writeSoon(t.Context(), w, o.update("staging", "shop", "main-0000000"))
	<-hold.arrived
	both := []<-chan result{writeSoon(t.Context(), w, dev...), writeSoon(t.Context(), w, prod...)}
	awaitCalls(w, 3)
	close(hold.release)
	all := (<-first).settled
	for _, done := range both {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		all = append(all, r.settled...)
	}
	if n := o.server.Counts().Requests[gitserver.Push]; n != 3 {
		t.Errorf("%d pushes, want 3", n)
	}
	if err := o.repo.Fsck(); err != nil {
		t.Error(err)
	}
	if n := len(o.log()); n != 2+len(dev)+len(prod) || len(all) != n-1 {
		t.Errorf("%d commits and %d settlements", n, len(all))
	}
}

func TestAnUpdatesOwnFaultStopsNobodyElse(t *testing.T) {
	o := newOrigin(t)
	o.commit(gitserver.Change{
		Files: map[string]string{
			testFile("dev", "link"): "values.yaml", testFile("dev", "sub"): o.first,
			testFile("dev", "dir") + "/x": "x", testFile("dev", "nokey"): "a: 1\n", "charts/file": "x",
		},
		Modes: map[string]string{testFile("dev", "link"): "120000", testFile("dev", "sub"): "160000"},
	})
	w := o.writer()
	tests := []struct {
		app  string
		code gitops.Code
	}{
		{"shop", ""},
		{"none", gitops.NotFound}, // no such file
		{"cart", ""},
		{"nokey", gitops.NotFound},
		{"link", gitops.Invalid},
		{"sub", gitops.Invalid},
		{"dir", gitops.Invalid},
		{"file", gitops.Invalid},     // a file where the directory should be
		{"unknown", gitops.NotFound}, // by Target
		{"../../etc", gitops.Invalid},
		{"mail", ""},
	}
	var updates []gitops.Update
	for _, tt := range tests {
		updates = append(updates, o.update("dev", tt.app, "main-0000001"))
	}
	settled := o.write(w, updates...)
	for i, tt := range tests {
		want := gitops.Failed
		if tt.code == "" {
			want = gitops.Committed
		}
		if s := settled[i]; s.State != want || s.Code != tt.code || want == gitops.Failed && s.Reason == "" {
			t.Errorf("%s: %+v, want %s %s", tt.app, s, want, tt.code)
		}
	}
	o.check(settled...)
	settled = o.write(w, updates[1], updates[4]) // failures only
	if settled[0].State != gitops.Failed || settled[1].State != gitops.Failed {
		t.Errorf("got %+v", settled)
	}
	o.check()
}

// A hook that is against one environment does not stop the others.
func TestARefusalMeetsOnlyTheLaneItIsFor(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.repo.Hook("pre-receive", `read old new ref; if git log --format=%s $old..$new | grep -q '(prod)$'; then echo "prod is frozen" >&2; exit 1; fi`); err != nil {
		t.Fatal(err)
	}
	hold := o.holdPush(gitserver.Fault{})
	first := writeSoon(t.Context(), w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	prod := writeSoon(t.Context(), w, o.update("prod", "shop", "v1.0.0"))
	staging := writeSoon(t.Context(), w, o.update("staging", "shop", "main-0000001"), o.update("staging", "cart", "main-0000001"))
	awaitCalls(w, 3)
	close(hold.release)
	one, frozen, three := <-first, <-prod, <-staging
	if one.err != nil || three.err != nil || len(three.settled) != 2 {
		t.Errorf("the other lanes got %v and %v", one.err, three.err)
	}
	if gitops.CodeOf(frozen.err) != gitops.Rejected || len(frozen.settled) != 0 {
		t.Errorf("the frozen lane got %v and %v", frozen.settled, frozen.err)
	}
	o.check(append(one.settled, three.settled...)...)
}

func TestAnUpdateCannotWriteLinesIntoTheMessage(t *testing.T) {
	o := newOrigin(t)
	forged := o.update("dev", "shop", "main-0000001")
	forged.Actor = "octocat\nTallyman-Update: up-0002"
	settled := o.write(o.writer(), forged)
	if settled[0].State != gitops.Failed || settled[0].Code != gitops.Invalid {
		t.Errorf("got %+v, want a failure", settled[0])
	}
	o.check(settled...)
}

func TestACallerThatGivesUpBeforeThePushLeavesNothing(t *testing.T) {
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

func TestACallerInAPushGetsItsResult(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	hold := o.holdPush(gitserver.Fault{})
	ctx, cancel := context.WithCancel(t.Context())
	done := writeSoon(ctx, w, o.update("dev", "shop", "main-0000001"))
	<-hold.arrived
	cancel()
	close(hold.release)
	r := <-done
	if r.err != nil || len(r.settled) != 1 || r.settled[0].State != gitops.Committed {
		t.Fatalf("got %v and %v, want its commit", r.settled, r.err)
	}
	o.check(r.settled...)
}

// A caller whose push lost the race is let go before the next one.
func TestACallerThatGaveUpIsNotInTheNextAttempt(t *testing.T) {
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
		w.mu.Lock()
		leaving = w.calls[0].leaving != nil
		w.mu.Unlock()
	}
	close(hold.release)
	if r := <-done; gitops.CodeOf(r.err) != gitops.Unavailable || len(r.settled) != 0 {
		t.Fatalf("got %v and %v", r.settled, r.err)
	}
	o.check(o.write(w, o.update("prod", "shop", "v1.0.0"))...)
}

func TestEverybodyWaitingSharesTheNewsThatTheRemoteIsDown(t *testing.T) {
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
		_, err := w.Write(t.Context(), []gitops.Update{u})
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

func TestCloseAwaitsThePush(t *testing.T) {
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
	if _, err := w.Write(t.Context(), []gitops.Update{o.update("prod", "shop", "v1.0.1")}); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
	if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a handshake after Close: %v, want unavailable", err)
	}
	o.check(r.settled...)
}
