package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/notify"
)

func (w *world) place(h gitops.Hold) gitops.Hold {
	w.t.Helper()
	h.Principal, h.Actor, h.Reason = "token:ops", "ben", "an incident"
	placed, err := w.store.Place(w.t.Context(), queue.Placement{Holds: []gitops.Hold{h}})
	w.must(err)
	return placed.Holds[0]
}

func (w *world) lift(id string) {
	w.t.Helper()
	_, err := w.store.Lift(w.t.Context(), queue.Lifting{IDs: []string{id}, Principal: "token:ops", Actor: "ann"})
	w.must(err)
}

// block has the lane say what blocks an update.
func (w *world) block(id string, kind gitops.BlockKind, reason string) {
	w.t.Helper()
	w.report(queue.Report{Blocks: []queue.Blocked{{Update: id, BlockedBy: []gitops.Block{{Kind: kind, Reason: reason}}}}})
}

// life plays everything that is told, once, and returns what a receiver of everything gets.
func (w *world) life() (want []string) {
	w.fail("web", "1.0.0")
	w.ends(w.order("prod", "api", "1.0.0", nil), gitops.ActionPropose, "")
	freeze := w.place(gitops.Hold{Kind: gitops.HoldFreeze, Environments: []string{"prod"}, Until: now().Add(time.Hour)})
	held := w.order("prod", "web", "1.0.1", nil)
	w.block(held, gitops.BlockImage, "its image is not there")
	w.pass(time.Second)
	w.block(held, gitops.BlockFreeze, "frozen by ben: an incident")
	w.pass(time.Minute)
	w.lift(freeze.ID)
	w.ends(held, gitops.ActionCommit, "")
	w.rollout(held, gitops.RolloutWaiting, "")
	w.rollout(held, gitops.RolloutSyncing, "syncing")
	w.rollout(held, gitops.RolloutDegraded, "the pod does not start")
	back := w.order("prod", "web", "1.0.0", &gitops.Terms{Reverts: held, RollsBack: "1.0.1"})
	w.ends(back, gitops.ActionCommit, "")
	w.rollout(back, gitops.RolloutHealthy, "")
	w.pass(time.Minute)
	return []string{
		"failed web 1.0.0", "proposed api 1.0.0", "frozen freeze h1", "held web 1.0.1", "frozen freeze h1",
		"committed web 1.0.1", "degraded web 1.0.1", "reverted web 1.0.0", "healthy web 1.0.0",
	}
}

func TestEachKindIsTold(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		want := w.life()
		w.expect("ops", want...)
		if n := w.count("ops", notify.Sent); n != len(want) {
			t.Errorf("%d are counted", n)
		}
		if ids := w.receiver("ops").named(); len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(want) {
			t.Errorf("two messages have one id: %q", ids)
		}
	})
}

// A notifier tells of its kinds, environments and apps alone. A hold of all apps is of each.
func TestANotifierIsForWhatItNames(t *testing.T) {
	play(t, func(w *world) {
		failures, api, dev, written := everything("failures"), everything("api"), everything("dev"), everything("written")
		failures.Kinds = []notify.Kind{notify.KindFailed}
		api.App = func(name string) bool { return strings.HasPrefix(name, "api") }
		dev.Environments = []string{"dev"}
		written.Kinds = []notify.Kind{notify.KindCommitted}
		p := w.start("this", failures, api, dev, written)
		defer p.Stop()
		w.life()
		stop := w.place(gitops.Hold{Kind: gitops.HoldStop})
		w.place(gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"web"}, Tag: "1.0.9"})
		w.pass(time.Minute)
		w.expect("failures", "failed web 1.0.0")
		w.expect("api", "proposed api 1.0.0", "frozen freeze h1", "frozen freeze h1", "frozen stop "+stop.ID)
		w.expect("dev", "frozen stop "+stop.ID, "frozen bad h3")
		w.expect("written", "committed web 1.0.1", "committed web 1.0.0") // a revert, too
	})
}

// What a degraded rollout may be called is one kind.
func TestRolloutsThatFail(t *testing.T) {
	play(t, func(w *world) {
		rollouts := everything("ops")
		rollouts.Kinds = []notify.Kind{notify.KindDegraded, notify.KindHealthy}
		p := w.start("this", rollouts)
		defer p.Stop()
		for _, state := range gitops.RolloutStates() {
			id := w.order("prod", string(state), "1.0.0", nil)
			w.ends(id, gitops.ActionCommit, "")
			w.rollout(id, state, "a reason")
		}
		w.pass(time.Minute)
		w.expect("ops", "healthy healthy 1.0.0", "degraded degraded 1.0.0", "degraded sync_failed 1.0.0", "degraded timed_out 1.0.0")
	})
}

// What is held no longer when it would be told is not told.
func TestWhatIsHeldNoLonger(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		p.Stop()
		id := w.order("prod", "web", "1.0.0", nil)
		w.block(id, gitops.BlockStop, "stopped by ben")
		w.ends(id, gitops.ActionCommit, "")
		p = w.start("this", everything("ops"))
		defer p.Stop()
		w.pass(time.Minute)
		w.expect("ops", "committed web 1.0.0")
	})
}
