package contain

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// What is random is what git says: which commit reaches which, and what its file has.
func TestRandomHistoriesAreAsGitSays(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 2 {
		s := newSite(t, false)
		all := []string{s.git("rev-parse", "main")}
		tags := map[string]string{all[0]: "v1"}
		for n := range 30 {
			c := gitserver.Change{From: all[random.IntN(len(all))], Branch: fmt.Sprintf("b%d", n), Files: map[string]string{"README.md": fmt.Sprint(n)}}
			if random.IntN(3) == 0 {
				c.Merge = []string{all[random.IntN(len(all))]}
			}
			tag := tags[c.From]
			if random.IntN(2) == 0 {
				tag = fmt.Sprintf("v%d", 1+random.IntN(2))
				c.Files[shop] = valuesFile(tag)
			}
			made := s.commit(c)
			all, tags[made] = append(all, made), tag
		}
		s.git("update-ref", "refs/heads/main", all[len(all)-1])
		isBefore := func(a, b string) bool {
			out, err := s.repo.Git("merge-base", a, b)
			return err == nil && strings.Contains(out, a)
		}
		for range 150 {
			c, revision := all[random.IntN(len(all))], all[random.IntN(len(all))]
			want := rollout.Elsewhere
			switch {
			case c == revision || isBefore(c, revision) && tags[revision] == "v2":
				want = rollout.Contained
			case isBefore(c, revision):
				want = rollout.OtherTag
			case isBefore(revision, c):
				want = rollout.Before
			}
			if got, err := s.reader.Containment(t.Context(), v2(c, revision)); got != want || err != nil {
				t.Fatalf("%s at %s: %q, %v; want %q", c, revision, got, err, want)
			}
		}
	}
}

// Hundreds of updates that share a tip cost a few requests, whether they are in it or not.
func TestACommonTipIsAskedForOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	before := s.git("rev-parse", "main")
	s.bury("main", 200)
	s.file("v2")
	tip := s.other()
	commits := strings.Fields(s.git("log", "--format=%H", "-200", "main~1"))
	for _, c := range []struct {
		revision string
		want     rollout.Containment
		most     int
	}{{tip, rollout.Contained, 10}, {before, rollout.Before, 6}} {
		s.server.ResetCounts()
		for _, commit := range commits {
			if got, err := s.reader.Containment(t.Context(), v2(commit, c.revision)); got != c.want || err != nil {
				t.Fatalf("%s at %s: %q, %v", commit, c.revision, got, err)
			}
		}
		if n := s.server.Counts().Total(); n > c.most {
			t.Errorf("%s: %d requests for %d updates, want at most %d", c.want, n, len(commits), c.most)
		}
		s.server.ResetCounts()
		for _, commit := range commits {
			if got, err := s.reader.Containment(t.Context(), v2(commit, c.revision)); got != c.want || err != nil {
				t.Fatalf("again %s at %s: %q, %v", commit, c.revision, got, err)
			}
		}
		if n := s.server.Counts().Total(); n != 0 {
			t.Errorf("asked again it takes %d requests", n)
		}
	}
}

// Nothing is answered while the git server is away, and nothing of that is remembered.
func TestAnOutageIsNoAnswer(t *testing.T) {
	overEach(t, func(s *site) {
		c := s.file("v2")
		tip := s.other()
		broken := func(what string) {
			s.Helper()
			if got, err := s.reader.Containment(s.Context(), v2(c, tip)); got != "" || gitops.CodeOf(err) != gitops.Unavailable {
				s.Errorf("%s: %q, %v", what, got, err)
			}
			if tag, err := s.reader.TagBefore(s.Context(), v2(c, tip)); tag != "" || gitops.CodeOf(err) != gitops.Unavailable {
				s.Errorf("%s: the tag before is %q, %v", what, tag, err)
			}
		}
		s.server.Inject(gitserver.Fault{Status: 503, Times: -1})
		broken("away from the beginning")
		s.server.Heal()
		if _, err := s.writer.View(s.Context(), 0); err != nil {
			s.Fatal(err)
		}
		s.server.Inject(gitserver.Fault{On: gitserver.Fetch, Status: 503, Times: -1})
		broken("away when it is to send")
		s.server.Heal()
		s.want("afterwards", v2(c, tip), rollout.Contained)
		ended, cancel := context.WithCancel(s.Context())
		cancel()
		if got, err := s.newReader().Containment(ended, v2(c, tip)); got != "" || gitops.CodeOf(err) != gitops.Unavailable {
			s.Errorf("given up: %q, %v", got, err)
		}
	})
}

// A revision that the repository does not have may be on its way: it is asked again, not at once.
func TestAnAbsentRevisionIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	s.git("config", "uploadpack.allowReachableSHA1InWant", "true")
	c := s.file("v2")
	unborn := s.git("commit-tree", "main^{tree}", "-p", "main", "-m", "not pushed yet")
	s.want("before it is pushed", v2(c, unborn), rollout.NotARevision)
	s.git("update-ref", "refs/heads/main", unborn)
	s.server.ResetCounts()
	if got, err := s.reader.Containment(t.Context(), v2(c, unborn)); got != rollout.NotARevision || err != nil || s.server.Counts().Total() != 0 {
		t.Errorf("right afterwards: %q, %v, %d requests", got, err, s.server.Counts().Total())
	}
	s.now = s.now.Add(absentFor)
	s.want("when it is asked again", v2(c, unborn), rollout.Contained)
}

// What is more than may be searched or held is an error, and what is kept stays bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	c := s.file("v2")
	s.bury("main", mostCommits+10)
	if got, err := s.reader.Containment(t.Context(), v2(c, s.git("rev-parse", "main"))); got != "" || gitops.CodeOf(err) != gitops.TooLarge {
		t.Errorf("too deep: %q, %v", got, err)
	}
	large := s.commit(gitserver.Change{From: c, Branch: "large", Files: map[string]string{shop: valuesFile("v2") + strings.Repeat("# more\n", 1<<18)}})
	if got, err := s.reader.Containment(t.Context(), v2(c, large)); got != "" || gitops.CodeOf(err) != gitops.TooLarge || !strings.Contains(err.Error(), shop) {
		t.Errorf("a large file: %q, %v", got, err)
	}
	s.memory = 4 << 10
	wide := s.commit(gitserver.Change{From: c, Branch: "wide", Files: map[string]string{strings.Repeat("name-", 400): "a\n"}})
	if got, err := s.reader.Containment(t.Context(), v2(c, wide)); got != "" || gitops.CodeOf(err) != gitops.TooLarge {
		t.Errorf("a large directory: %q, %v", got, err)
	}

	a := newAnswers()
	first := answerKey{tag: "first"}
	a.put(first, rollout.Contained)
	for n := range 5 * mostAnswers {
		a.put(answerKey{tag: fmt.Sprint(n)}, rollout.Before)
		if _, ok := a.get(first); !ok {
			t.Fatalf("what is asked for again and again is forgotten after %d others", n)
		}
	}
	if n := len(a.newer) + len(a.older); n > 2*mostAnswers {
		t.Errorf("%d answers are kept", n)
	}
	l := newLineage()
	for n := range mostKnown + 1 {
		l.add(git.Commits{git.Hash{byte(n), byte(n >> 8), byte(n >> 16), 1}: {Message: []byte("text")}})
	}
	for _, c := range l.commits {
		if c.Message != nil {
			t.Fatal("a message is kept")
		}
	}
	if l.forget(); len(l.commits) != 0 {
		t.Errorf("%d commits are kept", len(l.commits))
	}
}

func TestTheTagBeforeAndNow(t *testing.T) {
	overEach(t, func(s *site) {
		first := s.git("rev-parse", "main")
		c := s.file("v2")
		gone := s.commit(gitserver.Change{Delete: []string{shop}})
		back := s.file("v3")
		s.commit(gitserver.Change{Files: map[string]string{shop: valuesFile("by-hand")}})
		for _, q := range []struct{ what, commit, want string }{
			{"of an update", c, "v1"}, {"of the first commit", first, ""}, {"where there was no file", back, ""}, {"where it is removed", gone, "v2"},
		} {
			if got, err := s.newReader().TagBefore(s.Context(), v2(q.commit, "")); got != q.want || err != nil {
				s.Errorf("%s the tag before is %q, %v; want %q", q.what, got, err, q.want)
			}
		}
		tag, tip, err := s.reader.TagNow(s.Context(), shop, imageTag)
		if tag != "by-hand" || tip != s.git("rev-parse", "main") || err != nil {
			s.Errorf("now it is %q at %s, %v", tag, tip, err)
		}
		if tag, _, err := s.reader.TagNow(s.Context(), "none.yaml", imageTag); tag != "" || err != nil {
			s.Errorf("of no file it is %q, %v", tag, err)
		}
		if _, err := s.reader.TagBefore(s.Context(), v2(strings.Repeat("1", 40), "")); gitops.CodeOf(err) != gitops.NotFound {
			s.Errorf("of a commit that is not there: %v", err)
		}
	})
}

func TestWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	tip := s.git("rev-parse", "main")
	path := v2("", tip)
	path.Path = "../up"
	for what, q := range map[string]Question{"a commit": v2("main", tip), "a path": path} {
		if _, err := s.reader.Containment(t.Context(), q); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.reader.TagBefore(t.Context(), v2("main", tip)); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("the tag before: %v", err)
	}
	u := gitops.Update{Commit: tip, Tag: "v1", AcceptedAt: time.Unix(1_800_000_000, 0)}
	if q := QuestionOf(u, "x", shop, imageTag); q.Commit != tip || q.Tag != "v1" || q.Revision != "x" || !q.Since.Before(u.AcceptedAt) {
		t.Errorf("of an update it is asked %+v", q)
	}
}

// A guard that sets the file aside is no file without a tag.
func TestWhatIsSetAsideIsNotKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	c := s.file("v2")
	r := s.newReader()
	r.edits.Guard = refusing{}
	if got, err := r.Containment(t.Context(), v2(c, s.other())); got != "" || gitops.CodeOf(err) != gitops.Rejected {
		t.Errorf("got %q, %v", got, err)
	}
}

type refusing struct{}

func (refusing) Enter(context.Context, gitops.ParsedObject, int64, bool) (func(), error) {
	return nil, gitops.Errorf(gitops.Rejected, "it is set aside")
}
func (refusing) Know(string, string) {}

func TestAQuestionEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	c := s.file("v2")
	r := s.newReader()
	if _, err := s.writer.View(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	s.server.Inject(gitserver.Fault{On: gitserver.FetchRefs, Before: func() { close(arrived) }, Wait: make(chan struct{})})
	done := make(chan error, 1)
	go func() {
		_, err := r.Containment(t.Context(), v2(s.git("rev-parse", c+"^"), c))
		done <- err
	}()
	<-arrived
	r.Close()
	if err := <-done; gitops.CodeOf(err) != gitops.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a question under way: %v", err)
	}
	if _, err := r.Containment(t.Context(), v2(c, s.git("rev-parse", "main~1"))); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a question after the end: %v", err)
	}
	r.Close()
}
