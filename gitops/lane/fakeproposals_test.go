package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// fakeProposals answers wishes as a test says, and fails the test when it is asked as the
// contract forbids.
type fakeProposals struct {
	t *testing.T

	mu      sync.Mutex
	wanted  []string                       // each wish since the last asked, as wish says
	calls   [][]string                     // of Want
	wishes  map[string]gitops.ProposalWish // by app: the last
	results []gitops.ProposalResult
	changed chan struct{}
	opens   bool // what is wanted is proposed at once, and closed where that is wanted
	numbers int
	looks   int
	left    int
	outage  *queue.Outage
	images  *fakeImages
}

// proposing runs a script with a replica whose environment has its updates proposed.
func proposing(t *testing.T, c lane.Config, script func(t *testing.T, s *site, p *fakeProposals)) {
	t.Helper()
	inBubble(t, func(t *testing.T, s *site) {
		p := &fakeProposals{t: t, wishes: map[string]gitops.ProposalWish{}, changed: make(chan struct{}, 1), opens: true, images: newImages()}
		c.Proposals, c.Images = p, p.images
		if c.Environments == nil {
			c.Environments = []lane.Environment{pullRequest}
		}
		s.Replica = s.with(c)
		script(t, s, p)
	})
}

var pullRequest = lane.Environment{Name: "dev", PullRequest: true}

// wish is a wish as tests write it: "api 1", "api 1 held by stop", "close api 1: why".
func wish(w gitops.ProposalWish) string {
	text := w.Update.App + " " + w.Update.Tag
	if w.Close != "" {
		return "close " + text + ": " + w.Close
	}
	for _, b := range w.Held {
		text += " held by " + string(b.Kind)
	}
	if w.Expected != "" {
		text += " over " + w.Expected
	}
	return text
}

func (p *fakeProposals) Want(_ string, wishes []gitops.ProposalWish) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := make(map[string]gitops.Update)
	p.calls = append(p.calls, nil)
	for _, w := range wishes {
		if older, twice := before[w.Update.App]; twice && (older.State != gitops.Proposed || older.Sequence >= w.Update.Sequence) {
			p.t.Errorf("two wishes for %s", w.Update.App)
		}
		before[w.Update.App] = w.Update
		p.calls[len(p.calls)-1] = append(p.calls[len(p.calls)-1], wish(w))
		if _, known := p.wishes[w.Update.App]; !known && w.Update.State == gitops.Pending && w.Close == "" && len(w.Held) > 0 {
			p.t.Errorf("%s is wanted although it is held", w.Update.App)
		}
		p.wanted, p.wishes[w.Update.App] = append(p.wanted, wish(w)), w
		switch {
		case !p.opens:
		case w.Close != "":
			p.add(w.Update, gitops.Transition{Action: gitops.ActionCancel}, w.Update.Proposal)
		case w.Update.State == gitops.Pending && len(w.Held) == 0:
			p.add(w.Update, gitops.Transition{Action: gitops.ActionPropose}, p.open())
		}
	}
}

// open is a pull request that is opened now.
func (p *fakeProposals) open() *gitops.Proposal {
	p.numbers++
	return &gitops.Proposal{Number: p.numbers, URL: fmt.Sprintf("https://forge/pulls/%d", p.numbers), OpenedAt: time.Now().UTC()}
}

// add adds a result and tells the lane. The lock is held.
func (p *fakeProposals) add(u gitops.Update, s gitops.Transition, proposal *gitops.Proposal) {
	if to, ok := gitops.Next(u.State, s.Action); ok && to.Final() {
		delete(p.wishes, u.App)
	}
	p.push(gitops.ProposalResult{Update: u.ID, Transition: &s, Proposal: proposal})
}

func (p *fakeProposals) push(r gitops.ProposalResult) {
	p.results = append(p.results, r)
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// result gives the lane a result of an update of dev.
func (p *fakeProposals) result(name string, r gitops.ProposalResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Update = id("dev", name)
	p.push(r)
}

// happens gives the lane a transition of an update of dev.
func (p *fakeProposals) happens(name string, a gitops.Action) {
	s := gitops.Transition{Action: a}
	switch a {
	case gitops.ActionCommit:
		s.Commit = "c-" + name
	case gitops.ActionClose:
		s.Reason = "bob closed it"
	}
	p.result(name, gitops.ProposalResult{Transition: &s})
}

// blocks says that an update of dev cannot be proposed, for a while.
func (p *fakeProposals) blocks(name string, d time.Duration) {
	p.result(name, gitops.ProposalResult{Blocked: &gitops.Block{Kind: gitops.BlockProposal, Reason: "the forge does not answer", Until: time.Now().Add(d)}})
}

// opensNothing has wishes wait for what the test says.
func (p *fakeProposals) opensNothing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opens = false
}

func (p *fakeProposals) opensAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opens = true
}

func (p *fakeProposals) Results(string) (results []gitops.ProposalResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	results, p.results = p.results, nil
	return results
}

func (p *fakeProposals) Away(string) *queue.Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outage
}

// goesAway has the forge away, or back where the reason is "".
func (p *fakeProposals) goesAway(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outage = nil; reason != "" {
		p.outage = &queue.Outage{Repository: "shop", Code: gitops.Unavailable, Reason: reason, RetryAt: time.Now().Add(time.Minute)}
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *fakeProposals) Changed(string) <-chan struct{} { return p.changed }

func (p *fakeProposals) Look(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
}

func (p *fakeProposals) Leave(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left++
	clear(p.wishes)
	p.results = nil
}

// asked returns what was wanted since it was last called.
func (p *fakeProposals) asked() (wanted []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted, p.wanted = p.wanted, nil
	return slices.Clip(wanted)
}

func (p *fakeProposals) counts() (looks, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looks, p.left
}

// startProposed has the named updates of dev proposed.
func (s *site) startProposed(p *fakeProposals, names ...string) {
	s.t.Helper()
	s.accept(names...)
	s.Start()
	synctest.Wait()
	var want []string
	for _, name := range names {
		want = append(want, name+" proposed")
	}
	equal(s.t, "happened at first", want, s.happened())
	p.asked()
}

// errLost is a fault that the caller does not see: the store loses what it was told, as in a
// failover.
var errLost = errors.New("lost")

// answer is what the caller sees.
func (f fault) answer() error {
	if errors.Is(f.err, errLost) {
		return nil
	}
	return f.err
}

func (q *fakeQueue) Updates(ctx context.Context, f queue.UpdateFilter, page queue.Page) (found []gitops.Update, next string, err error) {
	err = q.call(ctx, "Updates", func() (err error) { found, next, err = q.Model.Updates(ctx, f, page); return err })
	return found, next, err
}

func (q *fakeQueue) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	err = q.call(ctx, "Update", func() (err error) { u, err = q.Model.Update(ctx, id); return err })
	return u, err
}

func (q *fakeQueue) Heads(ctx context.Context, environment string, apps []string) (heads []gitops.Head, err error) {
	err = q.call(ctx, "Heads", func() (err error) { heads, err = q.Model.Heads(ctx, environment, apps); return err })
	return heads, err
}
