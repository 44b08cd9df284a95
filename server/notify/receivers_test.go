package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// failures has an update of web fail every interval, and returns what is told of that.
func (w *world) failures(n int, every time.Duration) (want []string) {
	w.t.Helper()
	for i := range n {
		tag := fmt.Sprintf("1.0.%d", i)
		w.fail("web", tag)
		want = append(want, "failed web "+tag)
		w.pass(every)
	}
	return want
}

// A receiver that is down for an hour is told everything in order afterwards, and another is
// told at once meanwhile.
func TestAReceiverThatIsDownForAnHour(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("down"), everything("well"))
		defer p.Stop()
		down, well := w.receiver("down"), w.receiver("well")
		down.answers(gitops.Errorf(gitops.Unavailable, "hooks.example answered 500"))
		began := now()
		want := w.failures(60, time.Minute)
		w.expect("down")
		w.expect("well", want...)
		for i, at := range well.times() {
			if late := at.Sub(began.Add(time.Duration(i) * time.Minute)); late > time.Second {
				t.Errorf("message %d came %s late", i, late)
			}
		}
		if w.waitsSince("down") != began || !w.waitsSince("well").IsZero() {
			t.Errorf("behind since %v, %v", w.waitsSince("down"), w.waitsSince("well"))
		}
		if down.asked() < 12 || down.asked() > 30 {
			t.Errorf("it was asked %d times within the hour", down.asked())
		}
		if n := len(w.log.Lines("notification not delivered")); n != 1 {
			t.Errorf("logged %d times", n)
		}
		down.answers(nil)
		w.pass(6 * time.Minute)
		w.expect("down", want...)
		if !w.waitsSince("down").IsZero() || len(w.log.Lines("notifications delivered again")) != 1 || w.count("down", notify.Failed) != down.asked()-60 {
			t.Errorf("behind since %v, %d failed of %d", w.waitsSince("down"), w.count("down", notify.Failed), down.asked())
		}
	})
}

// One that is slow, and one that never answers, are given up after a while and asked again;
// another waits for neither.
func TestReceiversThatAreSlowOrHang(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("slow"), everything("hangs"), everything("well"))
		defer p.Stop()
		w.receiver("slow").takesSoLong(9 * time.Second)
		w.receiver("hangs").takesSoLong(time.Hour)
		want := w.failures(5, time.Second)
		w.expect("well", want...)
		w.pass(time.Minute)
		w.expect("slow", want...)
		w.expect("hangs")
		if n := w.receiver("hangs").asked(); n < 3 || n > 7 {
			t.Errorf("it was asked %d times", n)
		}
		w.receiver("hangs").takesSoLong(0)
		w.pass(5 * time.Minute)
		w.expect("hangs", want...)
	})
}

// What is taken and not answered well is sent again with the same id, and nothing overtakes it.
func TestAnAnswerThatIsLost(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		r := w.receiver("ops")
		r.set(func() { r.taken = true })
		r.answers(gitops.Errorf(gitops.Unavailable, "the answer is lost"))
		want := w.failures(3, time.Second)
		r.answers(nil)
		w.pass(time.Minute)
		if all := r.all(); len(all) < 4 || all[0] != all[1] || r.named()[0] != r.named()[1] {
			t.Errorf("%q with %q", all, r.named())
		}
		if diff := cmp.Diff(want, r.once()); diff != "" {
			t.Error(diff)
		}
	})
}

// How long a receiver wants to be left alone is obeyed, up to an hour. The waits between
// attempts of one that does not say become longer, up to five minutes.
func TestWaits(t *testing.T) {
	for asked, want := range map[time.Duration][2]time.Duration{
		90 * time.Second: {90 * time.Second, 91 * time.Second},
		48 * time.Hour:   {time.Hour, time.Hour + time.Second},
	} {
		play(t, func(w *world) {
			p := w.start("this", everything("ops"))
			defer p.Stop()
			r, limit := w.receiver("ops"), gitops.Errorf(gitops.RateLimited, "hooks.example answered 429")
			limit.RetryAfter = asked
			r.answers(limit)
			began := now()
			w.fail("web", "1.0.0")
			w.pass(time.Second)
			r.answers(nil)
			w.pass(2 * time.Hour)
			if waited := r.times()[0].Sub(began); r.asked() != 2 || waited < want[0] || waited > want[1] {
				t.Errorf("%s: sent after %s, %d attempts", asked, waited, r.asked())
			}
		})
	}
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		r := w.receiver("ops")
		var at []time.Time
		r.set(func() { r.before = func(int) { at = append(at, now()) } })
		r.answers(gitops.Errorf(gitops.Unavailable, "hooks.example answered 503"))
		w.fail("web", "1.0.0")
		w.pass(2 * time.Hour)
		for i := 1; i < len(at); i++ {
			most := min(time.Second<<min(i-1, 20), 5*time.Minute)
			if wait := at[i].Sub(at[i-1]); wait < most*3/4-time.Millisecond || wait > most+time.Second {
				t.Errorf("wait %d is %s", i, wait)
			}
		}
		if len(at) < 30 {
			t.Errorf("%d attempts", len(at))
		}
	})
}

// A message that its receiver refuses is left out, counted and logged; the next one is sent.
func TestAMessageThatIsRefused(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		r := w.receiver("ops")
		r.answers(gitops.Errorf(gitops.Rejected, "hooks.example answered 400"))
		w.fail("web", "1.0.0")
		w.pass(time.Second)
		r.answers(nil)
		w.fail("web", "1.0.1")
		w.pass(time.Second)
		w.expect("ops", "failed web 1.0.1")
		if w.count("ops", notify.Refused) != 1 || len(w.log.Lines("refused by its receiver")) != 1 {
			t.Error("it is not said")
		}
	})
}

// What happened more than a day ago is left out and counted, and the rest is told.
func TestALongOutage(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		r := w.receiver("ops")
		r.answers(gitops.Errorf(gitops.Unavailable, "hooks.example answered 500"))
		want := w.failures(36, time.Hour)
		r.answers(nil)
		w.pass(10 * time.Minute)
		if n := w.count("ops", notify.TooOld); n != 13 {
			t.Errorf("%d are too old", n)
		}
		w.expect("ops", want[13:]...)
	})
}

// Messages to a receiver with a pace are that far apart.
func TestThePace(t *testing.T) {
	play(t, func(w *world) {
		slack := everything("slack")
		slack.Pace = notify.SlackPace
		p := w.start("this", slack)
		defer p.Stop()
		want := w.failures(10, 0)
		w.pass(time.Minute)
		w.expect("slack", want...)
		for i, at := range w.receiver("slack").times()[1:] {
			if apart := at.Sub(w.receiver("slack").times()[i]); apart < time.Second || apart > 2*time.Second {
				t.Errorf("message %d came after %s", i+1, apart)
			}
		}
	})
}

// Many messages go out one after another without a wait between them.
func TestABacklogIsSentAtOnce(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		p.Stop()
		want := w.failures(1000, 0)
		p = w.start("this", everything("ops"))
		defer p.Stop()
		w.pass(time.Second)
		w.expect("ops", want...)
	})
}

// A store that is away costs nothing but time, and is said once.
func TestAStoreThatIsAway(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		w.store.fail(gitops.Errorf(gitops.Unavailable, "the store is away"))
		w.fail("web", "1.0.0")
		w.pass(time.Hour)
		w.expect("ops")
		w.store.fail(nil)
		w.pass(time.Minute)
		w.expect("ops", "failed web 1.0.0")
		if lines := w.log.Lines("store does not answer"); len(lines) != 1 || !strings.Contains(lines[0], `"notifier":"ops"`) {
			t.Errorf("logged %q", lines)
		}
	})
}

// A store that lost its newest changes has no such cursor: it is followed from its newest on.
func TestACursorThatIsGone(t *testing.T) {
	play(t, func(w *world) {
		w.must(w.store.Model.SetCheckpoint(t.Context(), "notify/ops", `{"cursor":"999999"}`))
		p := w.start("this", everything("ops"))
		defer p.Stop()
		w.fail("web", "1.0.0")
		w.pass(time.Minute)
		w.expect("ops", "failed web 1.0.0")
		if len(w.log.Lines("goes on from the newest change")) != 1 {
			t.Error("nothing is said of it")
		}
	})
}
