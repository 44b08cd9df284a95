package proposalstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// forge is the forge as one process sees it.
type forge struct {
	p     *Process
	asked bool
	given string // the open pull requests as it was told them last, as by an ETag
}

var errGone = gitops.Errorf(gitops.NotFound, "the forge has no such pull request")

func (f *forge) Pulls(_ context.Context, branch string) (found []proposals.Pull, err error) {
	err = f.p.call("pulls", branch, 0, func(w *World) error {
		for _, p := range slices.Backward(w.pulls) {
			if p.Branch == branch && !p.elsewhere {
				found = append(found, listed(p.Pull))
			}
		}
		return nil
	})
	return found, err
}

// listed is a pull request as lists have it: without who ended it, what it waits for, and
// whether it is queued.
func listed(p proposals.Pull) proposals.Pull {
	p.EndedBy, p.ByUs, p.WaitsFor, p.Queued, p.ArmedByUs = "", false, nil, false, false
	return p
}

func (f *forge) Open(context.Context) (open []proposals.Pull, changed bool, err error) {
	err = f.p.call("open", "", 0, func(w *World) error {
		var now strings.Builder
		for _, p := range w.pulls {
			if p.State == proposals.PullOpen && !p.elsewhere && strings.HasPrefix(p.Branch, proposals.Prefix) {
				open = append(open, listed(p.Pull))
				fmt.Fprintln(&now, p.Number, p.updated)
			}
		}
		if changed = now.String() != f.given || !f.asked; changed {
			f.given, f.asked = now.String(), true
			return nil
		}
		open = nil // the list is the one of before, whatever happened in between
		return nil
	})
	return open, changed, err
}

func (f *forge) Get(_ context.Context, number int) (got proposals.Pull, err error) {
	err = f.p.call("get", "", number, func(w *World) error {
		p := w.pull(number)
		if p == nil || p.elsewhere && p.State == proposals.PullOpen {
			return errGone
		}
		if got = p.Pull; p.State == proposals.PullOpen && w.Rules.Protected && !w.ready[number] {
			got.WaitsFor = []string{"a review"}
		}
		return nil
	})
	return got, err
}

func (f *forge) Create(_ context.Context, branch string, t proposals.Text) (made proposals.Pull, err error) {
	err = f.p.call("create", branch, 0, func(w *World) error {
		head, there := w.topics[branch]
		switch {
		case !there:
			return gitops.Errorf(gitops.Invalid, "the forge refuses the pull request: head is not a branch")
		case w.open(branch) != nil:
			return fmt.Errorf("creating: %w", proposals.ErrExists)
		case w.reach(w.base)[head]:
			return fmt.Errorf("creating: %w", proposals.ErrNoCommits)
		}
		w.checkText(t)
		made = w.addPull(branch, head, t)
		return nil
	})
	return made, err
}

// addPull adds a pull request.
func (w *World) addPull(branch string, head git.Hash, t proposals.Text) proposals.Pull {
	n := len(w.pulls) + 1
	w.pulls = append(w.pulls, &pull{Pull: proposals.Pull{
		Number: n, ID: fmt.Sprintf("PR_%d", n), URL: fmt.Sprintf("https://forge.example/pull/%d", n), Branch: branch,
		Head: head, State: proposals.PullOpen, Text: t, OpenedAt: time.Now().UTC(),
	}})
	return w.pulls[n-1].Pull
}

// checkText holds texts to GitHub's bounds, and to their trailers being last.
func (w *World) checkText(t proposals.Text) {
	lines := strings.Split(strings.TrimSpace(t.Body), "\n")
	switch last := lines[len(lines)-1]; {
	case t.Title == "" || len(t.Title) > 256 || strings.Contains(t.Title, "\n"):
		w.violate("the title %q", t.Title)
	case len(t.Body) > 65536:
		w.violate("a body of %d bytes", len(t.Body))
	case !strings.HasPrefix(last, "Tallyman-"):
		w.violate("a body that ends with %q, not with trailers", last)
	}
}

// change makes a change of an open pull request.
func (f *forge) change(op string, number int, do func(w *World, p *pull) error) error {
	return f.p.call(op, "", number, func(w *World) error {
		p := w.pull(number)
		if p == nil {
			return errGone
		}
		return do(w, p)
	})
}

func (f *forge) Edit(_ context.Context, number int, t proposals.Text) error {
	return f.change("edit", number, func(w *World, p *pull) error {
		w.checkText(t)
		if p.Text.Title == t.Title && p.Text.Body == t.Body && slices.Equal(p.Text.Labels, t.Labels) {
			w.violate("#%d is edited to the text that it has", number)
		}
		p.Text = t
		p.updated++
		return nil
	})
}

func (f *forge) Close(_ context.Context, number int) error {
	return f.change("close", number, func(w *World, p *pull) error {
		switch p.State {
		case proposals.PullMerged:
			return gitops.Errorf(gitops.Invalid, "the forge refuses: the pull request is merged")
		case proposals.PullOpen:
			w.end(p, proposals.PullClosed, Bot)
		}
		return nil
	})
}

func (f *forge) Comment(_ context.Context, number int, text string) error {
	return f.change("comment", number, func(w *World, _ *pull) error {
		w.comments[number] = append(w.comments[number], text)
		return nil
	})
}

func (f *forge) Arm(_ context.Context, q proposals.Pull, t proposals.Text) error {
	return f.change("arm", q.Number, func(w *World, p *pull) error {
		switch {
		case p.State != proposals.PullOpen:
			return gitops.Errorf(gitops.Invalid, "the forge refuses: the pull request is %s", p.State)
		case p.Head != q.Head:
			return fmt.Errorf("arming: %w", proposals.ErrHeadMoved)
		case w.conflicts(p.Head):
			return fmt.Errorf("arming: %w", proposals.ErrNotNow)
		case !w.commits[p.Head].ours:
			w.violate("#%d is armed with a commit of %s", p.Number, w.commits[p.Head].author)
		}
		if p.armedText = t; w.Rules.Protected && !w.ready[p.Number] {
			p.Armed, p.ArmedByUs = true, true
			p.updated++
			return nil
		}
		w.advance(p)
		return nil
	})
}

func (f *forge) Disarm(_ context.Context, q proposals.Pull) error {
	return f.change("disarm", q.Number, func(w *World, p *pull) error {
		p.Armed, p.Queued = false, false
		p.updated++
		return nil
	})
}

func (f *forge) Rules(_ context.Context, topic string) (r proposals.Rules, err error) {
	err = f.p.call("rules", topic, 0, func(w *World) error {
		r = w.Rules
		return nil
	})
	return r, err
}
