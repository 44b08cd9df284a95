package manifest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// expecting is a task of an update whose file must have a tag.
func expecting(u gitops.Update, tag string) gitops.WriteTask {
	return gitops.WriteTask{Update: u, Expected: tag}
}

// byHand is a person's commit of a tag, under a message.
func (o *origin) byHand(environment, app, tag, message string) string {
	o.Helper()
	return o.commit(gitserver.Change{Message: message, Files: map[string]string{testFile(environment, app): valuesFile(app, environment, tag)}})
}

// editOf is what is told of a commit that put a tag there.
func (o *origin) editOf(u gitops.Update, tag, commit string) gitops.HandEdit {
	o.Helper()
	at, err := time.Parse(time.RFC3339, o.git("show", "-s", "--format=%cI", commit))
	if err != nil {
		o.Fatal(err)
	}
	return gitops.HandEdit{Update: u.ID, Tag: tag, Commit: commit, Author: "A Person", At: at.UTC()}
}

func (o *origin) try(w *Writer, tasks ...gitops.WriteTask) gitops.WriteResult {
	o.Helper()
	r, err := w.Write(o.Context(), tasks)
	if err != nil {
		o.Fatal(err)
	}
	return r
}

// What a person wrote after the writer did stays, and all else of the batch goes on.
func TestAHandEditIsNotWrittenOver(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		w := o.writer(readsTags(t))
		o.write(w, o.update("prod", "shop", "v1"), o.update("prod", "cart", "v1"))
		by := o.byHand("prod", "shop", "v7", "fix: back to what works")
		o.commit(gitserver.Change{Message: "a note", Files: map[string]string{"README.md": "more\n"}})

		u, again, other := o.update("prod", "shop", "v2"), o.update("prod", "shop", "v3"), o.update("prod", "cart", "v2")
		own := o.update("prod", "shop", "v7")
		r := o.try(w, expecting(u, "v1"), expecting(other, "v1"), expecting(again, "v1"))
		if diff := cmp.Diff([]gitops.HandEdit{o.editOf(u, "v7", by), o.editOf(again, "v7", by)}, r.HandEdits); diff != "" {
			t.Errorf("hand edits (-want +got):\n%s", diff)
		}
		if len(r.Transitions) != 1 || r.Transitions[0].Update != other.ID {
			t.Errorf("the rest ended as %+v", r.Transitions)
		}
		if r := o.try(w, expecting(own, "v1")); len(r.HandEdits) != 0 || len(r.Transitions) != 1 || r.Transitions[0].Action != gitops.ActionConfirm {
			t.Errorf("an update of the person's tag ended as %+v", r)
		}
		if r := o.try(w, expecting(again, "v7")); len(r.HandEdits) != 0 || len(r.Transitions) != 1 {
			t.Errorf("once the edit is what is expected, it ended as %+v", r)
		}
		o.byHand("prod", "shop", "not a tag", "fix: what is no tag")
		if r := o.try(w, expecting(o.update("prod", "shop", "v4"), "v7")); len(r.Transitions) != 1 || r.Transitions[0].Action != gitops.ActionFail {
			t.Errorf("what is no tag is not written over either, and this ended as %+v", r)
		}
		o.byHand("prod", "shop", "v8", "fix: once more")
		if r := o.try(w, gitops.WriteTask{Update: o.update("prod", "shop", "v5")}); len(r.Transitions) != 1 {
			t.Errorf("a person's order ended as %+v", r)
		}
	})
}

// What this writer has written or found out before is no answer once others have moved the
// branch: a replica, and a person who puts the same tag there again.
func TestAHandEditOfATagThatWasThereBefore(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w, replica := o.writer(readsTags(t)), o.writer(readsTags(t))
	for n, tag := range []string{"v1", "v7", "v7"} {
		o.write(w, o.update("prod", "shop", "v1"))
		o.write(replica, o.update("prod", "shop", "v2"))
		by := o.byHand("prod", "shop", tag, "fix")
		for _, at := range []*Writer{w, replica, w} {
			u := o.update("prod", "shop", "v3")
			if r := o.try(at, expecting(u, "v2")); len(r.HandEdits) != 1 || r.HandEdits[0] != o.editOf(u, tag, by) {
				t.Errorf("edit %d, to %s: %+v, want %s", n, tag, r, by)
			}
		}
	}
}

// In one plan only the first update of an app is compared: what comes after an order is
// what the order has made of the file.
func TestWhatComesAfterAnOrderIsNotCompared(t *testing.T) {
	t.Parallel()
	for _, squash := range []string{"", "prod"} {
		o := newOrigin(t)
		w := o.writer(readsTags(t), squashing(squash))
		o.byHand("prod", "shop", "v7", "fix")
		order, auto := o.update("prod", "shop", "v2"), o.update("prod", "shop", "v3")
		r := o.try(w, gitops.WriteTask{Update: order}, expecting(auto, "v1"))
		if len(r.Transitions) != 2 || r.Transitions[1].Action != gitops.ActionCommit {
			t.Errorf("squash %q: ended as %+v", squash, r)
		}
		// An order that is held changes nothing.
		gate, with := gated(t)
		o.byHand("prod", "shop", "v8", "fix")
		order = o.update("prod", "shop", "v4")
		gate.hold(func(u gitops.Update) bool { return u.ID == order.ID })
		r = o.try(o.writer(readsTags(t), squashing(squash), with), gitops.WriteTask{Update: order}, expecting(o.update("prod", "shop", "v5"), "v3"))
		if len(r.Held) != 1 || len(r.HandEdits) != 1 || r.HandEdits[0].Tag != "v8" || len(r.Transitions) != 0 {
			t.Errorf("squash %q, the order is held: %+v", squash, r)
		}
	}
}

// Where the file has what is expected, nothing is asked of the server for it, also when one
// call has more updates of an app than go out in one push.
func TestAnExpectedTagCostsNothing(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		w := o.writer(readsTags(t), func(c *Config) { c.Limits.PlanTime = time.Nanosecond })
		o.check(o.write(w, o.update("prod", "shop", "v1"))...)
		o.server.ResetCounts()
		r := o.try(w, expecting(o.update("prod", "shop", "v2"), "v1"), expecting(o.update("prod", "shop", "v3"), "v1"))
		if counts := o.server.Counts(); len(r.Transitions) != 2 || counts.Requests[gitserver.Push] != 2 || counts.Requests[gitserver.Fetch] != 0 {
			t.Errorf("%v requests; %+v", counts.Requests, r)
		}
		o.check(r.Transitions...)
	})
}

// A store that was restored or failed over has forgotten what the writer wrote last: its
// own commit is no hand edit, whoever commits beside it.
func TestTheWritersOwnCommitIsNoHandEdit(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for name, more := range map[string]func(o *origin){
			"at the tip": func(*origin) {},
			"buried":     func(o *origin) { o.bury(300, now) },
			"merged": func(o *origin) {
				side := o.commit(gitserver.Change{Branch: "side", From: o.first, Files: map[string]string{"README.md": "side\n"}})
				ours := o.git("rev-parse", "main")
				o.commit(gitserver.Change{From: side, Merge: []string{ours}, Message: "Merge main", Files: map[string]string{testFile("prod", "shop"): valuesFile("shop", "prod", "v5")}})
			},
			"beside a change of the same file": func(o *origin) {
				o.commit(gitserver.Change{Message: "more", Files: map[string]string{testFile("prod", "shop"): valuesFile("shop", "prod", "v5") + "more: 1\n"}})
			},
		} {
			o := newOrigin(t)
			o.write(o.writer(readsTags(t)), o.update("prod", "shop", "v5"))
			more(o)
			r := o.try(o.writer(readsTags(t)), expecting(o.update("prod", "shop", "v6"), "v1"))
			if len(r.HandEdits) != 0 || len(r.Transitions) != 1 || r.Transitions[0].Action != gitops.ActionCommit {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

// A process died before it could report a batch of many apps. The one that comes next knows
// their commits, asks for no tag of theirs, and keeps the order of what comes after.
func TestALandedBatchIsNoHandEdit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	landed := o.many("dev", 2*mostSearches)
	o.write(o.writer(readsTags(t)), landed...)
	var tasks []gitops.WriteTask
	for _, u := range landed {
		u.MaybePushed = true
		tasks = append(tasks, expecting(u, "none"))
	}
	for _, u := range landed {
		tasks = append(tasks, expecting(o.update("dev", u.App, "v2"), "none"))
	}
	o.server.ResetCounts()
	r := o.try(o.writer(readsTags(t)), tasks...)
	if len(r.Transitions) != len(tasks) || len(r.HandEdits) != 0 {
		t.Errorf("%d hand edits, %+v", len(r.HandEdits), r.Transitions)
	}
	if pushes := o.server.Counts().Requests[gitserver.Push]; pushes != 1 {
		t.Errorf("%d pushes", pushes)
	}
	o.check(r.Transitions...)
}

// The branch moves while it is asked whose a tag is, and after: what is answered is of the
// tip on which the rest is written.
func TestABranchThatMovesWhileAHandEditIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, on := range []gitserver.Operation{gitserver.FetchRefs, gitserver.Fetch, gitserver.Push} {
		o := newOrigin(t)
		w := o.writer(readsTags(t))
		o.write(w, o.update("prod", "shop", "v1"), o.update("prod", "cart", "v1"))
		o.byHand("prod", "shop", "v7", "fix")
		if _, err := w.View(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		o.write(w, o.update("dev", "mail", "main-1")) // so that the writer is at the tip
		var by string
		o.server.Inject(gitserver.Fault{On: on, Before: func() { by = o.byHand("prod", "shop", "v8", "fix: another") }})
		u, other := o.update("prod", "shop", "v2"), o.update("prod", "cart", "v2")
		r := o.try(w, expecting(u, "v1"), expecting(other, "v1"))
		if len(r.HandEdits) != 1 || r.HandEdits[0] != o.editOf(u, "v8", by) || len(r.Transitions) != 1 {
			t.Errorf("the branch moves at %s: %+v", on, r)
		}
	}
}

// Many apps are edited by hand at once, as by sed: what one push has no searches left for
// waits for the next one of the same call, and so do later orders of its app.
func TestManyHandEdits(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", mostSearches+3)
	change := gitserver.Change{Message: "sed", Files: make(map[string]string)}
	var tasks []gitops.WriteTask
	for _, u := range updates {
		change.Files[testFile("dev", u.App)] = valuesFile(u.App, "dev", "v9")
		tasks = append(tasks, expecting(u, "v1"))
	}
	o.commit(change)
	last := updates[len(updates)-1]
	tasks = append(tasks, gitops.WriteTask{Update: o.update("dev", last.App, "v2")}, gitops.WriteTask{Update: o.update("dev", "shop", "v2")})
	r := o.try(o.writer(readsTags(t)), tasks...)
	if len(r.HandEdits) != len(updates) || len(r.Transitions) != 2 {
		t.Errorf("%d hand edits, %+v", len(r.HandEdits), r.Transitions)
	}
	if tag := o.git("show", "main:"+testFile("dev", last.App)); !strings.Contains(tag, `"v2"`) {
		t.Errorf("the order that came after an edit is not on the branch: %s", tag)
	}
}

// A search that fails is an outage at first. When it alone keeps failing it holds up nothing
// any more, and the tag counts as somebody's.
func TestASearchThatKeepsFailingHoldsUpNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(readsTags(t))
	o.byHand("prod", "shop", "v7", "fix")
	o.write(w, o.update("dev", "shop", "main-1"))
	file := o.git("rev-parse", "main:"+testFile("prod", "shop"))
	u, other := o.update("prod", "shop", "v2"), o.update("prod", "cart", "v2")
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Cut: true})
	for n := range 2 {
		if r, err := w.Write(t.Context(), []gitops.WriteTask{expecting(u, "v1"), {Update: other}}); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("search %d: %+v, %v", n+1, r, err)
		}
	}
	r := o.try(w, expecting(u, "v1"), gitops.WriteTask{Update: other})
	want := gitops.HandEdit{Update: u.ID, Tag: "v7", Commit: file, Author: handedit.Nobody}
	if len(r.Transitions) != 1 || len(r.HandEdits) != 1 || r.HandEdits[0] != want {
		t.Errorf("%+v, want %+v", r, want)
	}
}

// Of an app with several files the first one's tag counts.
func TestTheFirstFileTellsOfHandEdits(t *testing.T) {
	t.Parallel()
	o := severalOrigin(t, newOrigin)
	w := o.writer(severalFiles(o))
	o.write(w, o.update("dev", "shop", "v1"))
	o.commit(gitserver.Change{Message: "the chart", Files: map[string]string{chartFile("dev", "shop"): "name: shop\nappVersion: v7\n"}})
	if r := o.try(w, expecting(o.update("dev", "shop", "v2"), "v1")); len(r.HandEdits) != 0 || len(r.Transitions) != 1 {
		t.Errorf("another file was edited: %+v", r)
	}
	o.commit(gitserver.Change{Message: "all", Files: map[string]string{allFile("dev"): strings.Replace(o.git("show", "main:"+allFile("dev")), "tag: v2", "tag: v7", 1) + "\n"}})
	if r := o.try(w, expecting(o.update("dev", "shop", "v3"), "v2"), expecting(o.update("dev", "cart", "v3"), "none")); len(r.HandEdits) != 1 || len(r.Transitions) != 1 {
		t.Errorf("the first file was edited: %+v", r)
	}
	o.wantTags("after the edit", "dev", "shop", "v7", "v2", "v2")
}

// A rollback has a subject of its own, and what it says is proved with the rest.
func TestARollbackSaysSo(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	u := o.update("prod", "shop", "v1")
	u.Terms = &gitops.Terms{Reason: "it fails\nTallyman-Update: forged", RollsBack: "v2", PinUntil: time.Now().Add(72 * time.Hour)}
	settled := o.write(w, u)
	c := o.parsed(settled[0].Commit)
	said := gitops.ParseTrailers(c.Message)
	if c.Subject() != "revert: shop back to v1 (prod)" || len(said) != 1 || said[0].Terms.RollsBack != "v2" || said[0].Terms.Reason != "it fails Tallyman-Update: forged" {
		t.Errorf("the commit says %q, read as %+v", c.Message, said)
	}
	if _, ok := testProver.Verify(c); !ok {
		t.Error("the commit has no proof")
	}
	c.Message = []byte(strings.Replace(string(c.Message), "it fails", "it works", 1))
	if _, ok := testProver.Verify(c); ok {
		t.Error("the proof does not cover the reason")
	}
}
