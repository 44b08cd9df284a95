package manifest

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/proof"
)

// Whatever a person writes into whichever commit, an update is committed only by a
// commit of ours. The file says otherwise, so it is written.
func TestAForgedTrailerIsNoLanding(t *testing.T) { overEach(t, testAForgedTrailerIsNoLanding) }

func testAForgedTrailerIsNoLanding(t *testing.T, newOrigin origins) {
	note := map[string]string{"NOTES.md": "a note\n"}
	for name, forge := range map[string]func(o *origin, u gitops.Update, lines string){
		"plain": func(o *origin, _ gitops.Update, lines string) {
			o.commit(gitserver.Change{Message: "x\n\n" + lines, Files: note})
		},
		"in a squash": func(o *origin, _ gitops.Update, lines string) {
			o.commit(gitserver.Change{Message: "Several (#3)\n\n* x\n\n" + lines + "\n* y", Files: note})
		},
		"in a revert": func(o *origin, _ gitops.Update, lines string) {
			o.commit(gitserver.Change{Message: "Revert \"x\"\n\n" + lines, Files: note})
		},
		"with another tag": func(o *origin, u gitops.Update, lines string) { o.forge(u, lines, "main-0000009", nil) },
		"and another file": func(o *origin, u gitops.Update, lines string) {
			o.forge(u, lines, u.Tag, note)
			o.forge(u, "", "main-0000009", nil)
		},
		"in a merge":         func(o *origin, _ gitops.Update, lines string) { o.merge("Merge\n\n"+lines, "") },
		"in what was merged": func(o *origin, _ gitops.Update, lines string) { o.merge("Merge", "x\n\n"+lines) },
		"with another's proof": func(o *origin, _ gitops.Update, lines string) {
			own := o.parsed("main~1").Message
			o.commit(gitserver.Change{Message: "x\n\n" + lines + string(own[strings.Index(string(own), gitops.TrailerProof):]), Files: note})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.check(o.write(o.writer(), o.update("dev", "cart", "main-0000005"))...)
			o.commit(gitserver.Change{Message: "a note", Files: map[string]string{"README.md": "more\n"}})
			u := takenOver(o.update("dev", "shop", "main-0000001"))
			forge(o, u, u.Trailers())
			forged := o.git("rev-parse", "main")
			settled := o.write(o.writer(), u)
			if settled[0].Action != gitops.ActionCommit || o.git("rev-parse", "main^") != forged {
				t.Errorf("it ends as %+v, on %s", settled[0], forged)
			}
			if key, ok := testProver.Verify(o.parsed(settled[0].Commit)); !ok {
				t.Errorf("it is committed by a commit without a proof (%s)", key)
			}
		})
	}
}

// forge commits a tag by hand, under lines that claim to be ours.
func (o *origin) forge(u gitops.Update, lines, tag string, more map[string]string) string {
	o.Helper()
	files := map[string]string{testFile(u.Environment, u.App): valuesFile(u.App, u.Environment, tag)}
	for path, content := range more {
		files[path] = content
	}
	return o.commit(gitserver.Change{Message: "fix: by hand\n\n" + lines, Files: files})
}

// merge merges a side branch that changes no file. Without a message for it, the side
// is the first commit.
func (o *origin) merge(message, side string) {
	o.Helper()
	tip := o.git("rev-parse", "main")
	from := o.first
	if side != "" {
		from = o.git("commit-tree", o.first+"^{tree}", "-p", o.first, "-m", side)
	}
	o.git("update-ref", "refs/heads/main", o.git("commit-tree", tip+"^{tree}", "-p", tip, "-p", from, "-m", message), tip)
}

// A commit that does exactly what the update asks has landed it, whoever made it: a
// person rebases ours, or a squash merge has nothing else. What is told says so.
func TestAnExactEditIsALanding(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		o.git("config", "uploadpack.allowAnySHA1InWant", "true") // as GitHub and GitLab have it
		u := takenOver(o.update("dev", "shop", "main-0000001"))
		by := o.forge(u, u.Trailers(), u.Tag, nil)
		o.forge(u, "", "main-0000009", nil)
		settled := o.write(o.writer(), u)
		if settled[0].Action != gitops.ActionCommit || settled[0].Commit != by || !strings.Contains(settled[0].Reason, "no proof") {
			t.Errorf("got %+v, want the commit %s and that it has no proof", settled[0], by)
		}
	})
}

// Over SSH git sends only what is a branch's tip, unless it is told otherwise: what
// cannot be had is no proof, and the file decides.
func TestAClaimThatIsNotSentIsNone(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	u := takenOver(o.update("dev", "shop", "main-0000001"))
	o.forge(u, u.Trailers(), u.Tag, nil)
	if settled := o.write(o.writer(), u); settled[0].Action != gitops.ActionConfirm {
		t.Errorf("got %+v, want unchanged", settled[0])
	}
}

// The same of an update that nobody may have pushed is somebody's own commit.
func TestAnExactEditOfWhatWasNeverPushedIsNoLanding(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	now := time.Now().Add(-48 * time.Hour)
	w := o.writer(func(c *Config) { c.Now = func() time.Time { return now } })
	o.check(o.write(w, o.update("dev", "cart", "main-0000005"))...) // its first snapshot
	u := o.update("dev", "shop", "main-0000001")
	o.forge(u, u.Trailers(), u.Tag, nil)
	if settled := o.write(w, u); settled[0].Action != gitops.ActionConfirm {
		t.Errorf("the file has the tag, and it ends as %+v", settled[0])
	}
	u = o.update("dev", "shop", "main-0000002")
	forged := o.forge(u, u.Trailers(), u.Tag, nil)
	o.forge(u, "", "main-0000009", nil)
	if settled := o.write(w, u); settled[0].Action != gitops.ActionCommit || settled[0].Commit == forged {
		t.Errorf("the file has another tag, and it ends as %+v, forged was %s", settled[0], forged)
	}
}

// A person rebases our commits, one of several updates among them: what they did is
// found on the branch, and nothing is written twice.
func TestRebasedCommitsHaveLanded(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	squash := func(c *Config) { c.Squash = func(environment string) bool { return environment == "dev" } }
	updates := []gitops.Update{o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("prod", "shop", "v1.0.0")}
	o.check(o.write(o.writer(squash), updates...)...)
	before := o.git("rev-parse", "main~2")
	at := o.git("commit-tree", before+"^{tree}", "-p", before, "-m", "in between")
	for _, ours := range strings.Fields(o.git("rev-list", "--reverse", before+"..main")) {
		at = o.git("commit-tree", ours+"^{tree}", "-p", at, "-m", o.git("log", "-1", "--format=%B", ours))
	}
	o.git("update-ref", "refs/heads/main", at)
	for i := range updates {
		updates[i] = takenOver(updates[i])
	}
	rebased := strings.Fields(o.git("rev-list", "--reverse", before+"..main"))[1:]
	for i, s := range o.write(o.writer(squash), updates...) {
		if want := rebased[i/2]; s.Action != gitops.ActionCommit || s.Commit != want || !strings.Contains(s.Reason, "no proof") {
			t.Errorf("%+v, want it in %s", s, want)
		}
	}
	if now := o.git("rev-parse", "main"); now != at {
		t.Errorf("the branch moved from %s to %s", at, now)
	}
}

// A forged release from far ahead supersedes nothing.
func TestAForgedReleaseSupersedesNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := o.update("dev", "shop", "main-0000001")
	later := o.update("dev", "shop", "main-0000002")
	later.AcceptedAt, later.EventTime, later.Sequence = time.Now().AddDate(70, 0, 0), time.Now().AddDate(70, 0, 0), 1<<40
	o.commit(gitserver.Change{Message: "x\n\n" + later.Trailers(), Files: map[string]string{"NOTES.md": "x\n"}})
	u.Recovered = true
	if settled := o.write(o.writer(), u); settled[0].Action != gitops.ActionCommit {
		t.Errorf("got %+v, want it written", settled[0])
	}
}

// A claim that came first does not hide the commit that is proved.
func TestAClaimHidesNoProof(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := o.update("dev", "shop", "main-0000001")
	o.commit(gitserver.Change{Message: "x\n\n" + u.Trailers(), Files: map[string]string{"NOTES.md": "x\n"}})
	first := o.write(o.writer(), u)
	o.forge(u, "", "main-0000009", nil)
	if settled := o.write(o.writer(), takenOver(u)); settled[0] != first[0] {
		t.Errorf("got %+v, want %+v", settled[0], first[0])
	}
}

// What the git server cannot send is no proof, and holds nothing up.
func TestAClaimThatCannotBeReadIsNone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	earlier := takenOver(o.update("dev", "cart", "main-0000005"))
	u := takenOver(o.update("dev", "shop", "main-0000001"))
	by := o.forge(u, u.Trailers(), u.Tag, nil)
	w := o.writer()
	o.write(w, earlier) // so that the history has been searched
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: branch.MaxTries, Cut: true})
	for range branch.MaxTries - 1 {
		if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("while nothing comes: %v", err)
		}
	}
	if settled := o.write(w, u); settled[0].Action != gitops.ActionConfirm {
		t.Errorf("got %+v, want unchanged: the file has the tag of %s", settled[0], by)
	}
}

// Without the store's key nothing is written: it would not be found again.
func TestNothingIsWrittenWithoutAKey(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(func(c *Config) { c.Prover = proof.New() })
	if _, err := writeAll(t.Context(), w, o.update("dev", "shop", "main-0000001")); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	o.check()
}
