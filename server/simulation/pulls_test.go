package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// ourLogin is what the forge calls tallyman.
const ourLogin = "tallyman[bot]"

var errNoPull = gitops.Errorf(gitops.NotFound, "the forge has no such pull request")

// pulls are the pull requests of the manifest repository, at a forge that refuses what GitHub
// refuses. The origin's lock is theirs.
type pulls struct {
	w       *world
	all     []*pullRequest // by number, from 1
	changes int            // of the list of open pull requests

	away   time.Time // until then it does not answer
	ambush func()    // happens right before the next call of a replica
}

type pullRequest struct {
	proposals.Pull
	armedText proposals.Text
	armedBy   string     // the replica
	judged    *judgement // by which it was
	ready     bool       // what the rules demand is fulfilled
	reopened  bool       // by a person, after it was closed
	rewritten bool       // a person has given it another text, which stays
}

func (f *pulls) lock()   { f.w.origin.mu.Lock() }
func (f *pulls) unlock() { f.w.origin.mu.Unlock() }

// refuses is what the forge answers during an outage.
func (f *pulls) refuses() error {
	f.lock()
	defer f.unlock()
	if time.Now().Before(f.away) {
		met.meet("the forge was away")
		return errForgeAway
	}
	return nil
}

// ambushed does what people do right before a call arrives.
func (f *pulls) ambushed() {
	f.lock()
	act := f.ambush
	f.ambush = nil
	f.unlock()
	if act != nil {
		act()
	}
}

func (f *pulls) numbered(number int) *pullRequest {
	if number < 1 || number > len(f.all) {
		return nil
	}
	return f.all[number-1]
}

// openOf is the open pull request of a branch; nil for none.
func (f *pulls) openOf(branch string) *pullRequest {
	for _, p := range f.all {
		if p.Branch == branch && p.State == proposals.PullOpen {
			return p
		}
	}
	return nil
}

// listed is a pull request as lists have it.
func listed(p proposals.Pull) proposals.Pull {
	p.EndedBy, p.ByUs, p.WaitsFor, p.Queued = "", false, nil, false
	return p
}

func (f *pulls) of(branch string) (found []proposals.Pull) {
	for _, p := range slices.Backward(f.all) {
		if p.Branch == branch {
			found = append(found, listed(p.Pull))
		}
	}
	return found
}

func (f *pulls) allOpen() (open []proposals.Pull) {
	for _, p := range f.all {
		if p.State == proposals.PullOpen {
			open = append(open, listed(p.Pull))
		}
	}
	return open
}

func (f *pulls) get(number int) (proposals.Pull, error) {
	p := f.numbered(number)
	if p == nil {
		return proposals.Pull{}, errNoPull
	}
	got := p.Pull
	if p.State == proposals.PullOpen && f.w.proposing.rules.Protected && !p.ready {
		got.WaitsFor = []string{"a review"}
	}
	return got, nil
}

func (f *pulls) create(branch string, t proposals.Text) (proposals.Pull, error) {
	o := f.w.origin
	head, there := o.topics[branch]
	switch {
	case !there:
		return proposals.Pull{}, gitops.Errorf(gitops.Invalid, "the forge refuses the pull request: head is not a branch")
	case f.openOf(branch) != nil:
		met.meet("a pull request was open already")
		return proposals.Pull{}, fmt.Errorf("creating: %w", proposals.ErrExists)
	case o.tip.IsZero():
		return proposals.Pull{}, gitops.Errorf(gitops.Invalid, "the forge refuses the pull request: base is not a branch")
	case o.reaches(head):
		return proposals.Pull{}, fmt.Errorf("creating: %w", proposals.ErrNoCommits)
	}
	n := len(f.all) + 1
	p := &pullRequest{Pull: proposals.Pull{
		Number: n, ID: fmt.Sprintf("PR_%d", n), URL: fmt.Sprintf("https://forge.example/pull/%d", n), Branch: branch,
		Head: git.Hash(head), State: proposals.PullOpen, Text: t, OpenedAt: time.Now().UTC(),
	}}
	f.all = append(f.all, p)
	f.changes++
	met.meet("a pull request was opened")
	return p.Pull, nil
}

func (f *pulls) end(p *pullRequest, state proposals.PullState, by string) {
	p.State, p.EndedBy, p.ByUs, p.EndedAt = state, by, by == ourLogin, time.Now().UTC()
	p.Armed, p.Queued, p.WaitsFor = false, false, nil
	f.changes++
	f.w.tell("%s: %s is %s by %s", p.URL, p.Branch, state, by)
	met.meet("a pull request was " + string(state))
	f.w.check.pullEnded(p)
}

// arm has the forge merge as soon as its rules allow it.
func (f *pulls) arm(p *pullRequest) {
	f.changes++
	rules := f.w.proposing.rules
	if rules.Protected && (!p.ready || rules.Strict && f.behind(p)) {
		p.Armed = true
		return
	}
	f.advance(p)
}

// approve fulfils what the rules demand: what is armed goes on.
func (f *pulls) approve(p *pullRequest) {
	p.ready = true
	if p.Armed && !(f.w.proposing.rules.Strict && f.behind(p)) && !f.conflicts(p) {
		f.advance(p)
	}
}

// advance merges or enqueues what nothing keeps from it any more, as tallyman.
func (f *pulls) advance(p *pullRequest) {
	if f.w.proposing.rules.Queue {
		f.enqueue(p)
		return
	}
	f.w.check.mergesForUs(p)
	f.merge(p, "squash", ourLogin, p.armedText.Title+"\n\n"+p.armedText.Body)
}

// enqueue puts a pull request into the queue, which merges it after a while or lets go of it.
func (f *pulls) enqueue(p *pullRequest) {
	p.Queued, p.Armed = true, false
	f.changes++
	r := f.w.chance.fresh(fmt.Sprint("queue ", p.Number, time.Now()))
	merged := r.IntN(4) > 0
	met.meet("a pull request was in the queue")
	time.AfterFunc(f.w.chance.alone(between(r, time.Second, 40*time.Second)), func() {
		f.lock()
		defer f.unlock()
		if !p.Queued || p.State != proposals.PullOpen {
			return
		}
		if p.Queued = false; merged && !f.w.origin.tip.IsZero() && !f.conflicts(p) {
			f.merge(p, "squash", "github-merge-queue[bot]", f.squashText(p))
			return
		}
		f.changes++
	})
}

func (f *pulls) squashText(p *pullRequest) string {
	switch f.w.proposing.squashes {
	case squashBody:
		return p.Text.Title + "\n\n" + p.Text.Body
	case squashCommit:
		return p.Text.Title + "\n\n* " + messageOf(f.w.origin.all[hash(p.Head)])
	}
	return p.Text.Title
}

// behind reports whether the base branch has moved on since.
func (f *pulls) behind(p *pullRequest) bool { return f.w.origin.fork(hash(p.Head)) != f.w.origin.tip }

// changed are the files that a pull request changes; a zero name is of one that goes.
func (f *pulls) changed(p *pullRequest) map[string]hash {
	all := f.w.origin.all
	was, is := all.files(all[f.w.origin.fork(hash(p.Head))].tree), all.files(all[hash(p.Head)].tree)
	changed := maps.Clone(is)
	maps.DeleteFunc(changed, func(path string, blob hash) bool { return was[path] == blob })
	for path := range was {
		if _, still := is[path]; !still {
			changed[path] = hash{}
		}
	}
	return changed
}

// conflicts reports whether the base branch has changed one of its files, too.
func (f *pulls) conflicts(p *pullRequest) bool {
	o := f.w.origin
	if o.tip.IsZero() {
		return true
	}
	was, now := o.all.files(o.all[o.fork(hash(p.Head))].tree), o.all.files(o.all[o.tip].tree)
	for path, blob := range f.changed(p) {
		if now[path] != was[path] && now[path] != blob {
			return true
		}
	}
	return false
}

// merge merges a pull request that has no conflicts.
func (f *pulls) merge(p *pullRequest, method, by, text string) {
	o := f.w.origin
	files := o.all.files(o.all[o.tip].tree)
	for path, blob := range f.changed(p) {
		if files[path] = blob; blob.IsZero() {
			delete(files, path)
		}
	}
	tree, head := o.all.write(files), hash(p.Head)
	var to hash
	switch method {
	case "merge":
		to = o.all.commit(tree, fmt.Sprintf("Merge pull request #%d", p.Number), time.Now(), o.tip, head)
	case "squash":
		to = o.all.commit(tree, text, time.Now(), o.tip)
	case "rebase":
		to = o.all.commit(tree, strings.TrimSuffix(messageOf(o.all[head]), "\n"), time.Now(), o.tip)
	default:
		panic("no method of merging: " + method)
	}
	f.w.tell("%s merges %s by %s as %s", by, p.URL, method, to.String()[:7])
	met.meet("a pull request was merged: " + method)
	from := o.tip
	o.move(to)
	f.w.check.moved(to)
	p.Landed = git.Hash(to)
	if f.w.proposing.stale {
		p.Landed = git.Hash{}
	}
	f.w.check.mergedPull(p, from, to)
	f.end(p, proposals.PullMerged, by)
}
