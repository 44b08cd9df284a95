package manifest

import (
	"context"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// However a push ends, its end is told once.
func TestTheEndOfEachPushIsTold(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]gitserver.Fault{
		"no answer": {Cut: true}, "taken, and no answer": {Apply: true, Cut: true}, "an error": {Status: 500}, "a limit": {Status: 413}, "no right": {Status: 403},
		"no report": {Status: 200}, "half a report": {Replace: func(b []byte) []byte { return b[:len(b)/2] }},
	} {
		o := newOrigin(t)
		gate, with := gated(t)
		w := o.writer(with)
		fault.On = gitserver.Push
		o.server.Inject(fault)
		u := o.update("dev", "shop", "main-0000001")
		_, _ = w.Write(t.Context(), tasksOf([]gitops.Update{u}))
		gate.balance(name, len(gate.asked))
		o.write(w, u)
		gate.balance(name+", and once more", len(gate.asked))
	}
}

// The end is told of a push whose caller has gone, and of one that an ending process leaves.
func TestTheEndOfAPushIsToldWithoutItsCaller(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(w *Writer, cancel func()){
		"the caller": func(_ *Writer, cancel func()) { cancel() },
		"the writer": func(w *Writer, _ func()) { w.Abort() },
	} {
		o := newOrigin(t)
		gate, with := gated(t)
		w := o.writer(with)
		hold := o.holdPush(gitserver.Fault{})
		ctx, cancel := context.WithCancel(t.Context())
		done := writeSoon(ctx, w, o.update("dev", "shop", "main-0000001"))
		<-hold.arrived
		gate.mu.Lock()
		if gate.ended[0] != 0 {
			t.Errorf("%s: the push is on its way, and its end was told", name)
		}
		gate.mu.Unlock()
		leave(w, cancel)
		if name == "the caller" {
			close(hold.release)
		}
		<-done
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		gate.balance(name, 1)
	}
}

// A writer that stops while it asks pushes nothing.
func TestNothingIsPushedOnceTheWriterStops(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	gate, with := gated(t)
	w := o.writer(with)
	gate.hold(func(gitops.Update) bool { w.stop(); return false })
	if _, err := w.Write(t.Context(), tasksOf([]gitops.Update{o.update("dev", "shop", "main-0000001")})); gitops.CodeOf(err) != gitops.Unavailable || o.pushes() != 0 {
		t.Errorf("%v, and %d pushes", err, o.pushes())
	}
	gate.balance("a writer that stops", 1)
}
