package contain

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// What people and others do to the branch after an update, from its commit to a force push.
func TestWhatARevisionHasOfAnUpdate(t *testing.T) {
	overEach(t, func(s *site) {
		before := s.git("rev-parse", "main")
		c := s.file("v2")
		s.want("its own commit", v2(c, c), rollout.Contained)
		s.want("the commit before it", v2(c, before), rollout.Before)
		later := s.other()
		s.want("a later commit of others", v2(c, later), rollout.Contained)
		s.want("the tag is there, and no commit is its own", v2("", later), rollout.Contained)
		s.want("before, where it has no commit", v2("", before), rollout.OtherTag)
		newer := s.file("v3")
		s.want("a newer tag", v2(c, newer), rollout.OtherTag)
		s.want("a newer tag, where it has no commit", v2("", newer), rollout.OtherTag)
		s.want("the older revision all the same", v2(c, later), rollout.Contained)
		byHand := s.commit(gitserver.Change{Message: "Revert by hand", Files: map[string]string{shop: valuesFile("v1")}})
		s.want("reverted by hand", v2(c, byHand), rollout.OtherTag)
		again := s.file("v2")
		s.want("put there again", v2(c, again), rollout.Contained)
		gone := s.commit(gitserver.Change{Delete: []string{shop}, Files: map[string]string{"charts/other.yaml": valuesFile("v2")}})
		s.want("the file was moved", v2(c, gone), rollout.OtherTag)
		inTheWay := s.commit(gitserver.Change{Files: map[string]string{shop + "/file": "a: 1\n"}})
		s.want("a directory is in its place", v2(c, inTheWay), rollout.OtherTag)
		broken := s.commit(gitserver.Change{Delete: []string{shop + "/file"}, Files: map[string]string{shop: "image: [\n"}})
		s.want("the file cannot be read", v2(c, broken), rollout.OtherTag)
		back := s.file("v2")
		s.want("it can be read again", v2(c, back), rollout.Contained)
	})
}

// Commits of topic branches are found on whichever side of a merge they are; a squash leaves
// them outside.
func TestMergesAndSquashes(t *testing.T) {
	overEach(t, func(s *site) {
		fork := s.git("rev-parse", "main")
		topic := s.commit(gitserver.Change{Branch: "topic", From: fork, Files: map[string]string{shop: valuesFile("v2")}})
		main := s.other()
		merge := s.commit(gitserver.Change{Message: "Merge topic", Merge: []string{topic}, Files: map[string]string{shop: valuesFile("v2")}})
		s.want("a merge of its commit", v2(topic, merge), rollout.Contained)
		s.want("after the merge", v2(topic, s.other()), rollout.Contained)
		s.want("main before the merge", v2(topic, main), rollout.Elsewhere)
		s.want("where both began", v2(topic, fork), rollout.Before)

		second := s.commit(gitserver.Change{Branch: "second", From: main, Files: map[string]string{shop: valuesFile("v3")}})
		squash := s.commit(gitserver.Change{Message: "Squash of second", Files: map[string]string{shop: valuesFile("v3")}})
		q := v2(second, squash)
		q.Tag = "v3"
		s.want("a squash of its commit", q, rollout.Elsewhere)
		q.Commit = squash
		s.want("the squash itself", q, rollout.Contained)
		// A person who pulls and pushes has the branch's old tip as second parent.
		tip := s.git("rev-parse", "main")
		q.Revision = s.commit(gitserver.Change{From: second, Merge: []string{tip}, Message: "Merge main", Files: map[string]string{shop: valuesFile("v3"), "README.md": "merged\n"}})
		s.want("the squash as second parent", q, rollout.Contained)
		q.Revision = tip
		s.want("the old tip, which main has as second parent now", q, rollout.Contained)
	})
}

func TestTheBranchIsForced(t *testing.T) {
	overEach(t, func(s *site) {
		fork := s.git("rev-parse", "main")
		c := s.file("v2")
		lost := s.other()
		s.want("before the force push", v2(c, lost), rollout.Contained)
		forced := s.commit(gitserver.Change{From: fork, Message: "Forced", Files: map[string]string{shop: valuesFile("v2"), "README.md": "forced\n"}})
		s.want("the forced tip, which has the tag", v2(c, forced), rollout.Elsewhere)
		s.want("what is on top of it", v2(c, s.other()), rollout.Elsewhere)
		s.git("reflog", "expire", "--expire=now", "--all")
		s.git("gc", "--quiet", "--prune=now")
		if got, err := s.reader.Containment(t.Context(), v2(c, lost)); got != rollout.Contained || err != nil {
			t.Errorf("what was answered before is %q, %v now", got, err)
		}
		if got, err := s.newReader().Containment(t.Context(), v2(c, lost)); got != rollout.NotARevision || err != nil {
			t.Errorf("a revision that is gone is %q, %v", got, err)
		}
		again := s.commit(gitserver.Change{From: fork, Branch: "main", Message: "Forced again", Files: map[string]string{shop: valuesFile("v1")}})
		s.want("forced once more", v2(c, again), rollout.Elsewhere)
		root := s.git("commit-tree", again+"^{tree}", "-m", "A new beginning")
		s.git("update-ref", "refs/heads/main", root)
		s.want("another history altogether", v2(c, root), rollout.Elsewhere)
		s.want("another history, no commit of its own", v2("", root), rollout.OtherTag)
	})
}

// Argo CD may follow another branch: a sha is a commit wherever it is.
func TestARevisionOfAnotherBranch(t *testing.T) {
	overEach(t, func(s *site) {
		fork := s.git("rev-parse", "main")
		s.commit(gitserver.Change{Branch: "release", From: fork, Message: "release", Files: map[string]string{"README.md": "release\n"}})
		c := s.file("v2")
		s.want("a branch without it", v2(c, s.git("rev-parse", "release")), rollout.Elsewhere)
		behind := s.commit(gitserver.Change{Branch: "release", Message: "Merge main", Merge: []string{c}, Files: map[string]string{shop: valuesFile("v2")}})
		s.want("a branch that took it in", v2(c, behind), rollout.Contained)
		s.want("a branch that took it in, and went on", v2(c, s.bury("release", 3)), rollout.Contained)
	})
}

func TestWhatIsNoRevision(t *testing.T) {
	overEach(t, func(s *site) {
		c := s.file("v2")
		for _, revision := range []string{"", "main", "HEAD", c[:12], c + "0", "v1.2.3", "0000000000000000000000000000000000000001"} {
			s.want("revision "+revision, v2(c, revision), rollout.NotARevision)
		}
	})
}

// However far apart the two are, within what is searched.
func TestARevisionFarAway(t *testing.T) {
	overEach(t, func(s *site) {
		before := s.bury("main", 150)
		c := s.file("v2")
		after := s.bury("main", 400)
		s.want("400 commits later", v2(c, after), rollout.Contained)
		s.want("50 of them before the tip", v2(c, s.git("rev-parse", "main~50")), rollout.Contained)
		s.want("right before it", v2(c, before), rollout.Before)
		s.want("100 commits before it", v2(c, s.git("rev-parse", before+"~100")), rollout.Before)
		long := v2(c, s.git("rev-parse", before+"~100"))
		long.Commit = s.file("v3")
		s.want("500 commits before", long, rollout.Before)
	})
}
