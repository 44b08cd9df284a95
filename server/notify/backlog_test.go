package notify_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// What a notifier is not for costs it no waiting, however much of it there is: what comes after
// is told at once.
func TestABacklogThatANotifierIsNotFor(t *testing.T) {
	play(t, func(w *world) {
		healthy := everything("ops")
		healthy.Kinds = []notify.Kind{notify.KindHealthy}
		w.start("this", healthy).Stop()
		for n := range 4500 { // two changes each
			w.fail("api", fmt.Sprintf("1.0.%d", n))
		}
		id := w.order("prod", "web", "1.0.0", nil)
		w.ends(id, gitops.ActionCommit, "")
		w.rollout(id, gitops.RolloutHealthy, "")
		began := now()
		p := w.start("this", healthy)
		defer p.Stop()
		w.pass(2 * time.Minute)
		w.expect("ops", "healthy web 1.0.0")
		if took := w.receiver("ops").times()[0].Sub(began); took > 2*time.Second {
			t.Errorf("told after %s", took)
		}
	})
}

// The place of a notifier that nothing is for moves on all the same: who follows next does not
// begin days ago. It is not behind meanwhile.
func TestANotifierThatNothingIsFor(t *testing.T) {
	play(t, func(w *world) {
		reverts := everything("ops")
		reverts.Kinds = []notify.Kind{notify.KindReverted}
		p := w.start("this", reverts)
		w.failures(72, time.Hour)
		latest, err := w.store.Latest(t.Context())
		w.must(err)
		if kept, err := w.store.Checkpoint(t.Context(), "notify/ops"); err != nil || kept != `{"cursor":"`+latest+`"}` || !w.waitsSince("ops").IsZero() {
			t.Errorf("%s of %s is kept, %v; behind since %s", kept, latest, err, w.waitsSince("ops"))
		}
		p.kill()
		defer p.Stop()
		q := w.start("that", reverts)
		defer q.Stop()
		back := w.order("prod", "web", "1.0.0", &gitops.Terms{Reverts: "u1", RollsBack: "1.0.1"})
		w.ends(back, gitops.ActionCommit, "")
		w.pass(2 * time.Minute)
		w.expect("ops", "reverted web 1.0.0")
	})
}
