package notify_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A replica that dies at any call of a receiver or of the store leaves its successor
// everything that was not told, in order, and at most one message that was told already.
func TestACrashAtEachStep(t *testing.T) {
	for _, where := range []string{"before a message is taken", "after one was", "before a call of the store", "after one"} {
		t.Run(where, func(t *testing.T) {
			n := 1
			for n < 60 && crashAt(t, where, n) { // the store is asked for ever
				n++
			}
			if n < 9 {
				t.Errorf("there are %d calls", n)
			}
		})
	}
}

// crashAt plays a life in which the first replica dies at its nth call. It returns whether it
// came to that.
func crashAt(t *testing.T, where string, n int) (died bool) {
	play(t, func(w *world) {
		first := w.prepare("first")
		die := func(call int) {
			if call == n {
				died = true
				first.kill()
			}
		}
		r := w.receiver("ops")
		switch where {
		case "before a message is taken":
			r.before = die
		case "after one was":
			r.after = die
		case "after one":
			w.store.after = die
		default:
			w.store.before = die
		}
		// A checkpoint, so that a death before it is kept is none of a new notifier.
		w.must(w.store.Model.SetCheckpoint(t.Context(), "notify/ops", `{"cursor":"0"}`))
		first.configure(everything("ops"))
		synctest.Wait()
		defer first.Stop()
		second := w.start("second", everything("ops"))
		defer second.Stop()
		want := w.life()
		w.pass(5 * time.Minute)
		if diff := cmp.Diff(want, r.once()); diff != "" {
			t.Errorf("died at call %d: %s", n, diff)
		}
		if doubles := len(r.all()) - len(want); doubles > 1 {
			t.Errorf("died at call %d: %d messages were sent again", n, doubles)
		}
	})
	return died
}

// A restart tells nothing twice and leaves nothing out. A notifier that is new begins with
// what happens from then on.
func TestARestart(t *testing.T) {
	play(t, func(w *world) {
		w.fail("web", "0.9.0")
		p := w.start("this", everything("ops"))
		w.pass(time.Minute)
		w.fail("web", "1.0.0")
		w.pass(time.Second)
		p.Stop()
		w.fail("web", "1.0.1")
		w.pass(time.Hour)
		p = w.start("this", everything("ops"), everything("new"))
		defer p.Stop()
		w.pass(time.Minute)
		w.fail("web", "1.0.2")
		w.pass(time.Second)
		w.expect("ops", "failed web 1.0.0", "failed web 1.0.1", "failed web 1.0.2")
		w.expect("new", "failed web 1.0.2")
	})
}

// A stop while a receiver does not answer ends at once; the message is sent after the start.
func TestAStopWhileSending(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		w.receiver("ops").takesSoLong(9 * time.Second)
		w.fail("web", "1.0.0")
		w.pass(time.Second)
		began := now()
		p.Stop()
		if took := now().Sub(began); took > time.Second || len(w.log.Lines("not delivered")) > 0 {
			t.Errorf("the stop took %s: %q", took, w.log.Lines("not delivered"))
		}
		w.receiver("ops").takesSoLong(0)
		p = w.start("this", everything("ops"))
		defer p.Stop()
		w.pass(time.Second)
		w.expect("ops", "failed web 1.0.0")
	})
}

// Of several replicas one tells, and the next one does when it stops.
func TestTwoReplicas(t *testing.T) {
	play(t, func(w *world) {
		first := w.start("first", everything("ops"))
		second := w.start("second", everything("ops"))
		defer second.Stop()
		want := w.failures(3, time.Second)
		first.Stop()
		w.fail("web", "1.0.3")
		w.pass(time.Minute)
		w.expect("ops", append(want, "failed web 1.0.3")...)
	})
}

// A store that is so slow that the lease runs out, while another replica takes it: what was
// told is told again at most, and in order; the replica that lost it moves nothing.
func TestALostLease(t *testing.T) {
	for before := range 5 {
		play(t, func(w *world) {
			first := w.start("first", everything("ops"))
			defer first.Stop()
			second := w.start("second", everything("ops"))
			defer second.Stop()
			var kept atomic.Int64
			w.store.set(func() {
				w.store.slow = func() {
					if int(kept.Add(1)) == before+1 {
						time.Sleep(10 * time.Minute)
					}
				}
			})
			want := w.failures(5, time.Second)
			w.pass(30 * time.Minute)
			if diff := cmp.Diff(want, w.receiver("ops").once()); diff != "" {
				t.Error(diff)
			}
			if lost := len(w.log.Lines("the lease was lost")); lost != 1 || len(w.receiver("ops").all()) > len(want)+1 {
				t.Errorf("lost %d times: %q", lost, w.receiver("ops").all())
			}
		})
	}
}

// A replica whose lease ran out while it read sends nothing of what it read, and does not move
// the checkpoint back: whoever comes third repeats nothing.
func TestALeaseThatRunsOutWhileTheFeedIsRead(t *testing.T) {
	play(t, func(w *world) {
		first := w.start("first", everything("ops"))
		defer first.Stop()
		second := w.start("second", everything("ops"))
		var reads atomic.Int64
		w.store.set(func() {
			w.store.reads = func() {
				if reads.Add(1) == 1 {
					time.Sleep(10 * time.Minute)
				}
			}
		})
		want := w.failures(5, time.Minute)
		w.pass(10 * time.Minute) // the first comes back
		second.kill()
		second.Stop()
		third := w.start("third", everything("ops"))
		defer third.Stop()
		w.pass(5 * time.Minute)
		w.expect("ops", want...)
	})
}

// A notifier that changes while a message is being sent waits for the end of that: else the
// next message could overtake it.
func TestAReloadWhileSending(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		r := w.receiver("ops")
		r.set(func() {
			r.before = func(n int) {
				if n == 1 {
					time.Sleep(5 * time.Second) // whatever has ended meanwhile
				}
			}
		})
		w.fail("web", "1.0.0")
		w.fail("web", "1.0.1")
		w.pass(time.Second)
		changed := everything("ops")
		changed.Fingerprint = "another"
		p.configure(changed)
		w.pass(3 * time.Second)
		w.expect("ops")
		w.pass(time.Minute)
		w.expect("ops", "failed web 1.0.0", "failed web 1.0.0", "failed web 1.0.1") // whether it was taken is not known
	})
}

// Another configuration counts at once: a receiver that changed goes on from its place, one
// that stays is not disturbed, and one that is gone is told nothing more.
func TestAReload(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("changes"), everything("stays"), everything("goes"))
		defer p.Stop()
		w.receiver("changes").answers(nil)
		w.fail("web", "1.0.0")
		w.pass(time.Second)
		w.receiver("changes").takesSoLong(time.Hour) // it hangs, and is given up for the new one
		w.fail("web", "1.0.1")
		w.pass(time.Second)
		w.receiver("changes").takesSoLong(0)
		changed := everything("changes")
		changed.Fingerprint = "another"
		p.configure(changed, everything("stays"), everything("comes"))
		w.pass(time.Second)
		w.fail("web", "1.0.2")
		w.pass(time.Minute)
		w.expect("changes", "failed web 1.0.0", "failed web 1.0.1", "failed web 1.0.2")
		w.expect("stays", "failed web 1.0.0", "failed web 1.0.1", "failed web 1.0.2")
		w.expect("goes", "failed web 1.0.0", "failed web 1.0.1")
		w.expect("comes", "failed web 1.0.2")
		if n := w.receiver("stays").asked(); n != 3 {
			t.Errorf("it was asked %d times", n)
		}
	})
}
