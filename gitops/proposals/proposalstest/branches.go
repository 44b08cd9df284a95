package proposalstest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// branches is the git side as one process sees it.
type branches struct {
	p      *Process
	base   git.Hash
	topics map[string]git.Hash // as of the last look
	built  git.Hash
}

func (b *branches) Look(context.Context) (h proposals.Heads, err error) {
	err = b.p.call("look", "", 0, func(w *World) error {
		b.base, b.topics = w.base, maps.Clone(w.topics)
		h = proposals.Heads{Base: w.base, Topics: maps.Clone(w.topics)}
		return nil
	})
	return h, err
}

func (b *branches) Base(_ context.Context, environment, app string) (base proposals.Base, err error) {
	err = b.p.call("base", proposals.Branch(environment, app), 0, func(w *World) error {
		base.Tag = w.commits[b.base].tags[environment+"/"+app]
		return nil
	})
	return base, err
}

func (b *branches) Origin(_ context.Context, environment, app string) (o proposals.Origin, err error) {
	err = b.p.call("origin", proposals.Branch(environment, app), 0, func(w *World) error {
		key := environment + "/" + app
		at := b.base
	search:
		for {
			c := w.commits[at]
			for _, parent := range slices.Backward(c.parents) { // of a merge the topic first
				if w.commits[parent].tags[key] == c.tags[key] {
					at = parent
					continue search
				}
			}
			o = proposals.Origin{Commit: at, Updates: updatesOf(c), Proved: c.ours, Author: c.author, At: c.at}
			return nil
		}
	})
	return o, err
}

func (b *branches) Contains(_ context.Context, commit git.Hash) (contains bool, err error) {
	err = b.p.call("contains", "", 0, func(w *World) error {
		contains = w.reach(b.base)[commit]
		return nil
	})
	return contains, err
}

func (b *branches) Topic(_ context.Context, environment, app string, head git.Hash) (t proposals.Topic, err error) {
	err = b.p.call("topic", proposals.Branch(environment, app), 0, func(w *World) error {
		key := environment + "/" + app
		c := w.commits[head]
		if c == nil || b.topics[proposals.Branch(environment, app)] != head {
			return gitops.Errorf(gitops.Internal, "the topic is asked at a commit where the last look did not find it")
		}
		fork := w.fork(head)
		was, now := w.commits[fork].tags[key], w.commits[b.base].tags[key]
		t = proposals.Topic{
			Ours: c.ours, Updates: updatesOf(c), Author: c.author, Tag: c.tags[key],
			Conflict: was != now, Behind: fork != b.base,
		}
		if c.ours {
			t.Subject, t.Trailers = splitMessage(c.message)
			t.Files = []string{key + ".yaml"}
		}
		return nil
	})
	return t, err
}

func (b *branches) Build(_ context.Context, u gitops.Update, expected string) (built proposals.Built, err error) {
	err = b.p.call("build", proposals.Branch(u.Environment, u.App), 0, func(w *World) error {
		key := u.Environment + "/" + u.App
		now, there := w.commits[b.base].tags[key]
		switch {
		case !there:
			built.Ends = &gitops.Transition{Update: u.ID, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "the file is not there"}
			return nil
		case now == u.Tag:
			built.Ends = &gitops.Transition{Update: u.ID, Action: gitops.ActionConfirm, Reason: "the file already has this tag"}
			return nil
		case expected != "" && now != expected:
			built.HandEdit = &gitops.HandEdit{Update: u.ID, Tag: now, Commit: b.base.String(), Author: "ann"}
			return nil
		}
		tags := maps.Clone(w.commits[b.base].tags)
		tags[key] = u.Tag
		message := fmt.Sprintf("%s to %s\n\n%sTallyman-Proof: fake\n", u.App, u.Tag, u.Trailers())
		b.built = w.add(&commit{parents: []git.Hash{b.base}, tags: tags, message: message, ours: true, author: "tallyman"})
		built.Commit, built.Files = b.built, []string{key + ".yaml"}
		built.Subject, built.Trailers = splitMessage(message)
		return nil
	})
	return built, err
}

// splitMessage returns the subject of a commit's message and its trailers.
func splitMessage(message string) (subject, trailers string) {
	for i := range message {
		if message[i] == '\n' {
			return message[:i], message[min(i+2, len(message)):]
		}
	}
	return message, ""
}

func (b *branches) Push(_ context.Context, branch string, from git.Hash, built proposals.Built) error {
	return b.p.call("push", branch, 0, func(w *World) error {
		at := w.topics[branch]
		switch {
		case built.Commit != b.built || built.Commit.IsZero():
			w.violate("%s: what is pushed was not built last", branch)
			return gitops.Errorf(gitops.Internal, "what is pushed was not built last")
		case at != from:
			return &proposals.MovedError{Branch: branch}
		case w.locked(branch):
			return gitops.Errorf(gitops.Rejected, "the git server rejected the push: GH006: Protected branch update failed: the branch is queued for merging")
		}
		w.spare(branch, at)
		if w.reach(w.base)[built.Commit] {
			w.violate("%s: the head is pushed to a commit of the base branch", branch)
		}
		w.move(branch, built.Commit)
		return nil
	})
}

func (b *branches) Delete(_ context.Context, branch string, at git.Hash) error {
	return b.p.call("delete", branch, 0, func(w *World) error {
		if is, there := w.topics[branch]; !there || is != at {
			return &proposals.MovedError{Branch: branch}
		}
		if w.open(branch) != nil {
			w.violate("%s: deleted while its pull request is open", branch)
		}
		w.spare(branch, at)
		w.remove(branch, Bot)
		return nil
	})
}

// spare holds tallyman to it that no person's commit is lost: what it moves a topic branch
// from is its own, or merged.
func (w *World) spare(branch string, at git.Hash) {
	if at.IsZero() || w.reach(w.base)[at] {
		return
	}
	for _, p := range w.pulls {
		if p.Branch == branch && p.State == proposals.PullMerged && p.Head == at {
			return
		}
	}
	if !w.commits[at].ours {
		w.violate("%s: the commit of %s is lost", branch, w.commits[at].author)
	}
}
