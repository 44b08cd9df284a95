package manifest

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// awaitCalls waits until n calls wait for their turn or are in a push.
func awaitCalls(w *Writer, n int) {
	for {
		w.queue.mu.Lock()
		open := 0
		for _, c := range w.queue.calls {
			if !c.over {
				open++
			}
		}
		w.queue.mu.Unlock()
		if open >= n {
			return
		}
		runtime.Gosched()
	}
}

// result is what a Write in the background returned.
type result struct {
	settled []gitops.Transition
	err     error
}

func writeSoon(ctx context.Context, w *Writer, updates ...gitops.Update) <-chan result {
	done := make(chan result, 1)
	go func() {
		settled, err := writeAll(ctx, w, updates...)
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

func TestWhatWaitsGoesOutInOnePush(t *testing.T) { overEach(t, testWhatWaitsGoesOutInOnePush) }

func testWhatWaitsGoesOutInOnePush(t *testing.T, newOrigin origins) {
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
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	var dev, prod []gitops.Update
	const most = 500
	for n := range most {
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
	t.Parallel()
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
		want := gitops.ActionFail
		if tt.code == "" {
			want = gitops.ActionCommit
		}
		if s := settled[i]; s.Action != want || s.Code != tt.code || want == gitops.ActionFail && s.Reason == "" {
			t.Errorf("%s: %+v, want %s %s", tt.app, s, want, tt.code)
		}
	}
	o.check(settled...)
	settled = o.write(w, updates[1], updates[4]) // failures only
	if settled[0].Action != gitops.ActionFail || settled[1].Action != gitops.ActionFail {
		t.Errorf("got %+v", settled)
	}
	o.check()
}

// A hook that is against one environment does not stop the others.
func TestARefusalMeetsOnlyTheLaneItIsFor(t *testing.T) {
	overEach(t, testARefusalMeetsOnlyTheLaneItIsFor)
}

func testARefusalMeetsOnlyTheLaneItIsFor(t *testing.T, newOrigin origins) {
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
	prod := writeSoon(t.Context(), w, o.update("prod", "shop", "v1.0.0"), o.update("prod", "cart", "v1.0.0"))
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
	t.Parallel()
	o := newOrigin(t)
	forged := o.update("dev", "shop", "main-0000001")
	forged.Actor = "octocat\nTallyman-Update: up-0002"
	settled := o.write(o.writer(), forged)
	if settled[0].Action != gitops.ActionFail || settled[0].Code != gitops.Invalid {
		t.Errorf("got %+v, want a failure", settled[0])
	}
	o.check(settled...)
}
