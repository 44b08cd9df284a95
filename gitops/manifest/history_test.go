package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// dated is an update whose event happened so long before it was accepted, now.
func (o *origin) dated(app, tag string, before time.Duration) gitops.Update {
	u := o.update("prod", app, tag)
	u.EventTime = u.AcceptedAt.Add(-before).Truncate(time.Second)
	o.updates[u.ID] = u
	return u
}

// retaken is an update as a store has it that was restored, and took the delivery in
// again: the id is the same, everything else is new.
func (o *origin) retaken(u gitops.Update) gitops.Update {
	o.ids++
	u.Recovered, u.AcceptedAt, u.Sequence, u.MaybePushed = true, time.Now().UTC(), int64(o.ids), false
	return u
}

// C1: the store was restored to before both releases, and the sweep takes their
// deliveries in again. The branch has them, and stays at the newer one.
func TestAfterARestoreTheBranchTellsWhatLanded(t *testing.T) {
	overEach(t, testAfterARestoreTheBranchTellsWhatLanded)
}

func testAfterARestoreTheBranchTellsWhatLanded(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	one, two := o.dated("shop", "v1.0.0", 20*time.Hour), o.dated("shop", "v2.0.0", 19*time.Hour)
	before := o.write(o.writer(), one, two)
	o.bury(20, now)
	tip := o.git("rev-parse", "main")
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, u := range []gitops.Update{one, two} { // each in a call of its own
		if settled := o.write(w, o.retaken(u)); settled[0] != before[i] {
			t.Errorf("got %+v, want %+v", settled[0], before[i])
		}
	}
	if now := o.git("rev-parse", "main"); now != tip {
		t.Errorf("something was written:\n%s", o.git("log", "-p", tip+".."+now))
	}
	o.check(before...)
}

// C1: a delivery that was lost before the restore, and is recovered only now, is
// older than what the branch has, whether its sender or the store dated that.
func TestARecoveredReleaseIsNotWrittenOverANewerOne(t *testing.T) {
	overEach(t, testARecoveredReleaseIsNotWrittenOverANewerOne)
}

func testARecoveredReleaseIsNotWrittenOverANewerOne(t *testing.T, newOrigin origins) {
	for name, newer := range map[string]func(*origin) gitops.Update{
		"dated by its sender": func(o *origin) gitops.Update { return o.dated("shop", "v2.0.0", time.Hour) },
		"dated by the store":  func(o *origin) gitops.Update { return o.update("prod", "shop", "v2.0.0") },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			release := newer(o)
			release.AcceptedAt = release.AcceptedAt.Add(-time.Second)
			o.updates[release.ID] = release
			o.check(o.write(o.writer(), release)...)
			old, other := o.retaken(o.dated("shop", "v1.0.0", 30*time.Hour)), o.retaken(o.dated("cart", "v1.0.0", 30*time.Hour))
			later := o.update("prod", "shop", "v3.0.0")
			o.updates[old.ID], o.updates[other.ID] = old, other
			settled := o.write(o.writer(), old, other, later)
			if settled[0].Action != gitops.ActionSupersede || !strings.Contains(settled[0].Reason, release.ID) {
				t.Errorf("the old release: %+v, want that it is superseded by %s", settled[0], release.ID)
			}
			if settled[1].Action != gitops.ActionCommit || settled[2].Action != gitops.ActionCommit {
				t.Errorf("another app's and a newer release: %+v", settled[1:])
			}
		})
	}
}

// What comes late and is newer than what the branch has is written.
func TestALateReleaseThatIsTheNewestIsWritten(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	first := o.dated("shop", "v1.0.0", 30*time.Hour)
	first.AcceptedAt = first.AcceptedAt.Add(-time.Second)
	o.updates[first.ID] = first
	o.write(w, first)
	late := o.dated("shop", "v2.0.0", 20*time.Hour)
	if settled := o.write(w, late); settled[0].Action != gitops.ActionCommit {
		t.Errorf("got %+v, want its commit", settled[0])
	}
}

// C3: the later update of the app is known to be on the branch; which of them the
// call lists first, and how many fit into a push, makes no difference.
func TestAnOlderUpdateIsNeverWrittenOverALaterOne(t *testing.T) {
	overEach(t, testAnOlderUpdateIsNeverWrittenOverALaterOne)
}

func testAnOlderUpdateIsNeverWrittenOverALaterOne(t *testing.T, newOrigin origins) {
	for _, most := range []int{1, 500} {
		o := newOrigin(t)
		older, other, newer := o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "shop", "main-0000002")
		o.write(o.writer(), newer)
		for _, order := range [][]gitops.Update{{older, other, takenOver(newer)}, {takenOver(newer), older}} {
			w := o.writer(func(c *Config) { c.Limits.PushUpdates = most })
			for _, s := range o.write(w, order...) {
				switch want := gitops.ActionCommit; s.Update {
				case older.ID:
					if s.Action != gitops.ActionSupersede || !strings.Contains(s.Reason, newer.ID) {
						t.Errorf("%d at once: the older one: %+v", most, s)
					}
				default:
					if s.Action != want {
						t.Errorf("%d at once: %+v, want %s", most, s, want)
					}
				}
			}
		}
		if file := o.git("show", "main:"+testFile("dev", "shop")); !strings.Contains(file, newer.Tag) {
			t.Errorf("the file says\n%s", file)
		}
	}
}

// C4: a writer's first snapshot knows no history. What was accepted before may have
// been written by another, although nobody says so.
func TestTheFirstSnapshotKnowsNoHistory(t *testing.T) {
	overEach(t, testTheFirstSnapshotKnowsNoHistory)
}

func testTheFirstSnapshotKnowsNoHistory(t *testing.T, newOrigin origins) {
	for _, handshake := range []bool{false, true} {
		o := newOrigin(t)
		u := o.update("dev", "shop", "main-0000001")
		first := o.write(o.writer(), u)
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
		w := o.writer()
		if handshake {
			if err := w.Handshake(t.Context()); err != nil {
				t.Fatal(err)
			}
			o.server.ResetCounts()
		}
		if settled := o.write(w, u); settled[0] != first[0] {
			t.Errorf("got %+v, want %+v", settled[0], first[0])
		}
		if n := o.server.Counts().Requests[gitserver.Fetch]; handshake && n != 0 {
			t.Errorf("%d fetches after a handshake, want none: it has searched already", n)
		}
		o.check(first...)
	}
}

// What is only to be looked for is not written, and found as anything else is.
func TestWhatIsOnlyLookedForIsNotWritten(t *testing.T) {
	overEach(t, testWhatIsOnlyLookedForIsNotWritten)
}

func testWhatIsOnlyLookedForIsNotWritten(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	there, missing, written := o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "mail", "main-0000001")
	first := o.write(o.writer(), there)
	w := o.writer()
	looked := []gitops.WriteTask{{Update: there, SearchOnly: true}, {Update: missing, SearchOnly: true}}
	for _, tasks := range [][]gitops.WriteTask{looked, append(looked, gitops.WriteTask{Update: written})} {
		o.server.ResetCounts()
		r, err := w.Write(t.Context(), tasks)
		if err != nil || len(r.Transitions) != len(tasks)-1 || r.Transitions[0] != first[0] || len(r.Refused) != 0 {
			t.Errorf("got %+v and %v, want %+v first", r, err, first[0])
		}
		if n := o.pushes(); n != len(tasks)-2 {
			t.Errorf("%d pushes", n)
		}
		o.check(r.Transitions...)
	}
	// That it is not there is of the branch as it is now.
	o.write(o.writer(), missing)
	r, err := w.Write(t.Context(), looked[1:])
	if err != nil || len(r.Transitions) != 1 || r.Transitions[0].Action != gitops.ActionCommit {
		t.Errorf("of what another process has written: %+v, %v", r, err)
	}
	// Beside a push that is rejected it is looked for all the same.
	o.rejectPaths("auth", "no")
	none := gitops.WriteTask{Update: o.update("dev", "shop", "main-0000009"), SearchOnly: true}
	r, err = w.Write(t.Context(), []gitops.WriteTask{none, {Update: o.update("dev", "auth", "main-0000001")}})
	if err != nil || len(r.Refused) != 1 || len(r.Transitions) != 0 {
		t.Errorf("got %+v and %v", r, err)
	}
}

// Whatever is forgotten is searched for, in each of the ways in which an update may
// be on the branch. Here nothing is remembered for longer than one update.
func TestWhatIsForgottenIsStillFound(t *testing.T) { overEach(t, testWhatIsForgottenIsStillFound) }

func testWhatIsForgottenIsStillFound(t *testing.T, newOrigin origins) {
	forgetful := func(c *Config) { c.Limits.Landings, c.Limits.UnknownPushes, c.Limits.PushUpdates = 1, 1, 1 }
	others := func(o *origin) {
		for n := range 3 {
			o.write(o.writer(), o.update("staging", "cart", fmt.Sprintf("main-%07d", n)))
		}
	}
	t.Run("of a dead process", func(t *testing.T) {
		o := newOrigin(t)
		u, newer := o.update("dev", "shop", "main-0000001"), o.update("dev", "shop", "main-0000002")
		first := o.write(o.writer(), newer)
		others(o)
		settled := o.write(o.writer(forgetful), takenOver(u), takenOver(newer))
		if settled[1] != first[0] || settled[0].Action != gitops.ActionSupersede {
			t.Errorf("got %+v, want %+v and one that it overtook", settled, first[0])
		}
	})
	t.Run("of another process", func(t *testing.T) {
		o := newOrigin(t)
		slow := o.writer(forgetful)
		o.write(slow, o.update("prod", "shop", "v1.0.0"))
		u := o.update("dev", "shop", "main-0000001")
		first := o.write(o.writer(), u)
		others(o)
		if settled := o.write(slow, u); settled[0] != first[0] {
			t.Errorf("got %+v, want %+v", settled[0], first[0])
		}
	})
	t.Run("of this process", func(t *testing.T) {
		o := newOrigin(t)
		w := o.writer(forgetful)
		o.write(w, o.update("prod", "shop", "v1.0.0"))
		var updates []gitops.Update
		var commits []string
		for _, app := range []string{"shop", "cart"} { // more than may be remembered
			u := o.update("dev", app, "main-0000001")
			o.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: true, Cut: true, Before: func() {
				o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Cut: true, Times: -1})
			}})
			if settled, err := writeAll(t.Context(), w, u); err == nil {
				t.Fatalf("got %v, want an error", settled)
			}
			o.server.Heal()
			updates, commits = append(updates, u), append(commits, o.git("rev-parse", "main"))
			others(o)
			o.write(w, o.update("prod", "mail", "v1.0."+app)) // the writer sees the commits
		}
		for i, s := range o.write(w, updates...) {
			if s.Commit != commits[i] {
				t.Errorf("got %+v, want %s", s, commits[i])
			}
		}
	})
}

// The store failed over to a standby that was behind: it has the older update still
// open and the newer one, which is on the branch, not at all. What is accepted from
// then on has the lost one's sequence.
func TestAnUpdateThatAFailoverBroughtBackIsNotWrittenOverALaterOne(t *testing.T) {
	overEach(t, testAnUpdateThatAFailoverBroughtBackIsNotWrittenOverALaterOne)
}

func testAnUpdateThatAFailoverBroughtBackIsNotWrittenOverALaterOne(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	older, lost, fresh := o.update("dev", "shop", "main-0000001"), o.update("dev", "shop", "main-0000002"), o.update("dev", "shop", "main-0000003")
	lost.AcceptedAt = older.AcceptedAt.Add(time.Millisecond)
	fresh.AcceptedAt, fresh.Sequence = lost.AcceptedAt.Add(time.Millisecond), lost.Sequence
	w := o.writer()
	o.write(w, lost)
	if settled := o.write(w, older); settled[0].Action != gitops.ActionSupersede || !strings.Contains(settled[0].Reason, lost.ID) {
		t.Errorf("the older one: %+v", settled[0])
	}
	if settled := o.write(w, fresh); settled[0].Action != gitops.ActionCommit {
		t.Errorf("the one that came after the failover: %+v", settled[0])
	}
}
