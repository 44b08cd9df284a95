package proposals

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// look asks where the branches are, and which pull requests are open: two requests, however
// many proposals there are. What has changed is due.
func (r *Room) look(ctx context.Context, now time.Time) {
	r.looked, r.lookAt = now, r.sweepAt(now)
	heads, err := r.config.Branches.Look(ctx)
	if err != nil {
		r.gitFailed(ctx, err)
		return
	}
	r.gitWorked()
	r.takeHeads(heads)
	if now.Before(r.forge.until) {
		return
	}
	open, changed, err := r.config.Forge.Open(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && isOutage(err):
		r.forgeFailed(err)
	case err != nil:
		r.forgeWorked()
		r.listFailed(ctx, err, now)
	default:
		r.forgeWorked()
		r.listWorked()
		if changed {
			r.takeList(open)
		}
		r.missUnlisted()
		r.askDetails(now, changed)
	}
}

// listFailed says that open pull requests are not followed: what is refused lasts until a person
// does something. Each of the proposals that ask for more says what is missing for that.
func (r *Room) listFailed(ctx context.Context, err error, now time.Time) {
	r.listed, r.onList = nil, nil
	isNew := r.refused.err == nil || r.refused.err.Error() != err.Error()
	r.refused.failed(err, now)
	if r.refused.until = r.lookAt; isNew {
		r.config.Logger.WarnContext(ctx, "open pull requests not listed", "code", string(gitops.CodeOf(err)), "error", err.Error())
	}
}

func (r *Room) listWorked() {
	if r.refused.worked() {
		r.config.Logger.Info("open pull requests listed again")
	}
}

// takeHeads takes up where the branches are.
func (r *Room) takeHeads(heads Heads) {
	moved := heads.Base != r.heads.Base
	topics := make(map[string]git.Hash, len(heads.Topics)) // to be changed by what is pushed from here
	maps.Copy(topics, heads.Topics)
	heads.Topics = topics
	r.heads, r.inWay = heads, map[string]string{}
	for branch := range heads.Topics {
		for i := range branch {
			if branch[i] == '/' {
				r.inWay[branch[:i]] = branch
			}
		}
	}
	for of, a := range r.apps {
		if moved || a.stale || heads.Topics[of.branch()] != a.seen.head {
			a.moved()
		}
	}
}

// blocking is the branch that keeps git from having another: each is a file where the other
// needs a directory.
func (r *Room) blocking(of appOf) string {
	directory := strings.TrimSuffix(of.branch(), "/"+of.app)
	if _, there := r.heads.Topics[directory]; there {
		return directory
	}
	return r.inWay[of.branch()]
}

// takeList takes up the open pull requests.
func (r *Room) takeList(open []Pull) {
	r.listed, r.onList = make(map[string]Pull, len(open)), make(map[string]bool, len(open))
	for _, p := range open {
		r.listed[p.Branch], r.onList[p.Branch] = p, true
	}
	for of, a := range r.apps {
		p, listed := r.listed[of.branch()]
		was := a.seen.pull
		switch {
		case listed && (was == nil || was.otherThan(p)):
			a.take(&p, false)
		case listed && was.Queued: // a list does not tell whether it still is
			a.seen.unsure, a.due = true, true
		}
	}
}

// missUnlisted has the pull requests asked for that are open as far as is known, and are not
// in the list: each was merged or closed, or the list is older. One that ended before any list
// had it leaves the list as it was.
func (r *Room) missUnlisted() {
	for of, a := range r.apps {
		if was := a.seen.pull; was != nil && was.State == PullOpen && !r.onList[of.branch()] {
			a.seen.unsure, a.pending, a.due = true, nil, true
		}
	}
}

// askDetails has some pull requests asked for what they wait for, after a hint that may have
// been of it: those that were not asked for longest. While nothing happens it asks for no pull request.
func (r *Room) askDetails(now time.Time, changed bool) {
	hinted := r.hinted
	if len(hinted) == 0 && !changed || now.Sub(r.details) < detailsEvery {
		return
	}
	r.details, r.hinted = now, map[string]bool{}
	var asked []*app
	for of, a := range r.apps {
		if p := a.seen.pull; p != nil && p.State == PullOpen && a.wish.reported && (hinted[of.environment] || len(hinted) == 0) {
			asked = append(asked, a)
		}
	}
	slices.SortFunc(asked, func(a, b *app) int { return cmp.Or(a.asked.Compare(b.asked), a.bySequence(b)) })
	for _, a := range asked[:min(len(asked), detailsMost)] {
		a.seen.unsure, a.due = true, true
	}
}

// bySequence orders apps by the acceptance of what is wished of them.
func (a *app) bySequence(b *app) int {
	return cmp.Or(a.wish.Update.AcceptedAt.Compare(b.wish.Update.AcceptedAt), cmp.Compare(a.wish.Update.Sequence, b.wish.Update.Sequence), strings.Compare(a.of.branch(), b.of.branch()))
}
