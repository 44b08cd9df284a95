package topic

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// When the answer to a push is lost, the branch tells whether it was made.
func TestAnAnswerThatIsLost(t *testing.T) {
	overEach(t, func(s *site) {
		b, branch := s.branches(), topicOf("shop")
		build := func() (git.Hash, func(from git.Hash) error) {
			built := s.build(b, s.update("shop", "v2"))
			return built.Commit, func(from git.Hash) error { return b.Push(t.Context(), branch, from, built) }
		}
		at, push := build()
		s.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: true, Cut: true})
		if err := push(git.Hash{}); err != nil || s.where(branch) != at {
			t.Errorf("made: %v, and it is at %s", err, s.where(branch))
		}
		second, push := build()
		s.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: true, Cut: true})
		if err := push(at); err != nil || s.where(branch) != second {
			t.Errorf("moved: %v, and it is at %s", err, s.where(branch))
		}
		at = second
		next, push := build()
		s.server.Inject(gitserver.Fault{On: gitserver.Push, Cut: true})
		if err := push(at); gitops.CodeOf(err) != gitops.Unavailable || s.where(branch) != at {
			t.Errorf("not moved: %v, and it is at %s", err, s.where(branch))
		}
		if err := push(at); err != nil || s.where(branch) != next {
			t.Errorf("once more: %v, and it is at %s", err, s.where(branch))
		}
		_, push = build()
		s.server.Inject(gitserver.Fault{On: gitserver.Push, Cut: true, Before: func() { s.git("update-ref", "refs/heads/"+branch, s.first) }})
		s.wantMoved("moved by another meanwhile", push(next))
		s.git("update-ref", "refs/heads/"+branch, next.String())
		s.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: true, Cut: true})
		if err := b.Delete(t.Context(), branch, next); err != nil || !s.where(branch).IsZero() {
			t.Errorf("deleted: %v, and it is at %s", err, s.where(branch))
		}
	})
}

// Another push that is on its way at the same time wins or loses, and is never written over.
func TestARaceForATopic(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	one, other, branch := s.branches(), s.branches(), topicOf("shop")
	mine := s.build(one, s.update("shop", "v2"))
	s.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: true, Before: func() {
		theirs, err := other.Build(t.Context(), s.update("shop", "v3"), "")
		if err == nil {
			err = other.Push(t.Context(), branch, git.Hash{}, theirs)
		}
		if err != nil {
			t.Error(err)
		}
	}})
	s.wantMoved("the race is lost", one.Push(t.Context(), branch, git.Hash{}, mine))
	if got := s.topic(one, "shop"); got.Tag != "v3" || !got.Ours {
		t.Errorf("the topic is %+v", got)
	}
}

// A refusal keeps the server's words, and the topic stays where it was.
func TestARefusalKeepsItsWords(t *testing.T) {
	overEach(t, func(s *site) {
		b, branch := s.branches(), topicOf("shop")
		at := s.propose(b, s.update("shop", "v2")).Commit
		next := s.build(b, s.update("shop", "v3"))
		refused := func(what string, err error, code gitops.Code, words string) {
			t.Helper()
			var no *git.Refusal
			if !errors.As(err, &no) || !strings.Contains(no.Error(), words) || gitops.CodeOf(err) != code || !strings.Contains(gitops.PublicOf(err), words) {
				t.Errorf("%s: %v, want %s with %q", what, err, code, words)
			}
			if s.where(branch) != at {
				t.Errorf("%s: the branch is at %s", what, s.where(branch))
			}
		}
		const queued = "GH006: Protected branch update failed: the branch is in a merge queue"
		if err := s.repo.Hook("pre-receive", "echo '"+queued+"' >&2; exit 1"); err != nil {
			t.Fatal(err)
		}
		refused("a queued head", b.Push(t.Context(), branch, at, next), gitops.Rejected, queued)
		refused("deleting it", b.Delete(t.Context(), branch, at), gitops.Rejected, queued)
		if err := s.repo.Hook("pre-receive", ""); err != nil {
			t.Fatal(err)
		}
		s.git("config", "receive.denyDeletes", "true")
		refused("no deletes", b.Delete(t.Context(), branch, at), gitops.Rejected, "deletion prohibited")
		lock := filepath.Join(s.repo.Dir, "refs", "heads", branch+".lock")
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused("locked", b.Push(t.Context(), branch, at, next), gitops.Unavailable, "failed to update ref")
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		s.git("update-ref", "refs/heads/tallyman/dev", s.first) // in the way of tallyman/dev/shop
		err := b.Push(t.Context(), "tallyman/dev/shop", git.Hash{}, next)
		refused("a branch in the way", err, gitops.Unavailable, "failed to update ref")
		if err := b.Push(t.Context(), branch, at, next); err != nil {
			t.Error(err)
		}
	})
}

// A server that takes no thin packs gets whole ones.
func TestAServerWithoutThinPacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	s.server.RefuseThinPacks()
	s.git("config", "receive.unpackLimit", "1")
	b := s.branches()
	s.propose(b, s.update("shop", "v2"))
	if err := s.repo.Fsck(); err != nil {
		t.Error(err)
	}
}

// A push that the server rejects before git sees it is an error, and the branch is not asked for.
func TestAPushThatIsRejectedBeforeGit(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	built := s.build(b, s.update("shop", "v2"))
	s.server.ResetCounts()
	s.server.Inject(gitserver.Fault{On: gitserver.Push, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}})
	err := b.Push(t.Context(), topicOf("shop"), git.Hash{}, built)
	var limited *gitops.Error
	if !errors.As(err, &limited) || limited.Code != gitops.RateLimited || limited.RetryAfter.Seconds() != 7 {
		t.Errorf("got %v", err)
	}
	if n := s.server.Counts().Total(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if err := b.Push(t.Context(), topicOf("shop"), git.Hash{}, built); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A redirect is followed by looking, and the push is made once more.
func TestARepositoryThatMovesDuringAPush(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	built := s.build(b, s.update("shop", "v2"))
	s.server.Inject(gitserver.Fault{On: gitserver.Push, Status: http.StatusMovedPermanently, Header: http.Header{"Location": {s.repo.URL + "/git-receive-pack"}}})
	if err := b.Push(t.Context(), topicOf("shop"), git.Hash{}, built); err != nil || s.where(topicOf("shop")) != built.Commit {
		t.Errorf("pushed: %v, and it is at %s", err, s.where(topicOf("shop")))
	}
}
