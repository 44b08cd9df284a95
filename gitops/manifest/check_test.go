package manifest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// check holds the repository against the book: nothing is damaged, every
// committed update has exactly the commit that its settlement names, no commit
// carries an update that was not settled so far as committed, each bot commit
// changes the one line it should, and each app's commits stand in the
// order of their updates.
func (o *origin) check(settled ...gitops.Transition) {
	o.Helper()
	if err := o.repo.Fsck(); err != nil {
		o.Fatal(err)
	}
	for _, s := range settled {
		if s.Action == gitops.ActionCommit {
			o.checked[s.Update] = s.Commit
		}
	}
	log, err := o.repo.Log("refs/heads/main")
	if err != nil {
		o.Fatal(err)
	}
	found := make(map[string]string)
	last := make(map[[2]string]int64)
	var unchecked []gitserver.Commit
	for _, c := range log {
		if len(c.Updates) > 0 && !o.sound[c.Hash] {
			o.sound[c.Hash] = true
			unchecked = append(unchecked, c)
		}
		for _, id := range c.Updates {
			if first, twice := found[id]; twice {
				o.Fatalf("update %s was committed twice: %s and %s", id, first, c.Hash)
			}
			found[id] = c.Hash
			u := o.updates[id]
			of := [2]string{u.Environment, u.App}
			if last[of] > u.Sequence {
				o.Fatalf("%v: update %d was committed after %d", of, u.Sequence, last[of])
			}
			last[of] = u.Sequence
		}
	}
	patches := o.patches(unchecked)
	for _, c := range unchecked {
		o.checkCommit(c, patches[c.Hash])
	}
	for id, commit := range o.checked {
		if found[id] != commit {
			o.Fatalf("update %s is in commit %q, its settlement says %q", id, found[id], commit)
		}
	}
	for id, commit := range found {
		if _, ok := o.checked[id]; !ok {
			o.Fatalf("commit %s carries update %s, which nobody was told of", commit, id)
		}
	}
}

// patches returns what each of the commits changes.
func (o *origin) patches(commits []gitserver.Commit) map[string]string {
	o.Helper()
	patches := make(map[string]string)
	if len(commits) == 0 {
		return patches
	}
	args := []string{"show", "--unified=0", "--no-color", "--format=%x01%H"}
	for _, c := range commits {
		args = append(args, c.Hash)
	}
	for each := range strings.SplitSeq(strings.TrimPrefix(o.git(args...), "\x01"), "\x01") {
		hash, patch, _ := strings.Cut(each, "\n")
		patches[hash] = patch
	}
	return patches
}

// parsed reads a commit.
func (o *origin) parsed(hash string) git.Commit {
	o.Helper()
	c, err := git.ParseCommit([]byte(o.git("cat-file", "commit", hash) + "\n"))
	if err != nil {
		o.Fatal(err)
	}
	return c
}

// checkCommit holds one bot commit against its updates, and against its patch.
func (o *origin) checkCommit(c gitserver.Commit, patch string) {
	o.Helper()
	updates := make([]gitops.Update, len(c.Updates))
	lists, trailers := "", ""
	want := make(map[string]string) // the line that is in a file afterwards, by path
	for n, id := range c.Updates {
		u := o.updates[id]
		updates[n] = u
		lists += fmt.Sprintf("- %s to %s\n", u.App, u.Tag)
		when := fmt.Sprintf("accepted %s %d", u.AcceptedAt.Format(time.RFC3339Nano), u.Sequence)
		if !u.EventTime.IsZero() {
			when += " event " + u.EventTime.UTC().Format(time.RFC3339)
		}
		if u.OnlyUp {
			when += " pushed " + u.Tag
		}
		trailers += fmt.Sprintf("\nTallyman-Update: %s\nTallyman-Delivery: %s\nTallyman-Actor: %s\nTallyman-Release: %s/%s %s",
			u.ID, u.Delivery, u.Actor, u.Environment, u.App, when)
		want[testFile(u.Environment, u.App)] = fmt.Sprintf("+  tag: %q # by the bot", u.Tag)
	}
	message := fmt.Sprintf("chore: bump %s to %s (%s)\n%s", updates[0].App, updates[0].Tag, updates[0].Environment, trailers)
	if len(updates) > 1 {
		message = fmt.Sprintf("chore: %d updates (%s)\n\n%s%s", len(updates), updates[0].Environment, lists, trailers)
	}
	said, proof, _ := strings.Cut(c.Message, "\n"+gitops.TrailerProof)
	if key, ok := testProver.Verify(o.parsed(c.Hash)); !ok || strings.Contains(proof, "\n") || !strings.Contains(proof, key) {
		o.Fatalf("commit %s has no proof:\n%s", c.Hash, c.Message)
	}
	if said != message {
		o.Fatalf("commit %s says\n%s\nwant\n%s", c.Hash, c.Message, message)
	}
	if c.Author != "tallyman[bot] <1+tallyman[bot]@users.noreply.github.com>" || len(c.Parents) != 1 {
		o.Fatalf("commit %s is by %s on %d parents", c.Hash, c.Author, len(c.Parents))
	}
	got := make(map[string]string)
	file, removed := "", 0
	for line := range strings.SplitSeq(patch, "\n") {
		switch {
		case strings.HasPrefix(line, "+++ "):
			file = line[6:]
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+"):
			got[file] += line
		case strings.HasPrefix(line, "-"):
			removed++
		case strings.HasPrefix(line, "new mode"), strings.HasPrefix(line, "old mode"):
			o.Fatalf("commit %s changes a mode: %s", c.Hash, line)
		}
	}
	if len(updates) > 1 { // what ends where it began is not in the difference
		for path := range want {
			if _, changed := got[path]; !changed && strings.Contains(o.git("show", c.Parents[0]+":"+path), want[path][1:]) {
				delete(want, path)
			}
		}
	}
	if diffs := cmp.Diff(want, got); diffs != "" || removed != len(got) {
		o.Fatalf("commit %s changes\n%s\nwhich is not one line of each file: %s", c.Hash, patch, diffs)
	}
}

// log lists the branch's commits, oldest first.
func (o *origin) log() []gitserver.Commit {
	o.Helper()
	log, err := o.repo.Log("refs/heads/main")
	if err != nil {
		o.Fatal(err)
	}
	return log
}

func (r *countingRecorder) Pushed(outcome PushOutcome, _ time.Duration, _ int) {
	if r.outcomes == nil {
		r.outcomes = make(map[PushOutcome]int)
	}
	r.outcomes[outcome]++
}
