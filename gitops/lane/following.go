package lane

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// following is what a term knows of the updates that [Proposals] has in hand. It is kept
// nowhere: the next term reads what is proposed, and takes what is pending.
type following struct {
	byID  map[string]*followed
	byApp map[string][]*followed // in acceptance order: a proposed one at most, and a pending one
	told  map[string]told        // by app: what was wanted last
	// searched are the ids of updates that might have been on the branch and are not. By now
	// their pull request alone can bring them there, and Proposals finds that.
	searched map[string]bool
	results  []gitops.ProposalResult // that are not reported yet
	read     time.Time               // when the environment's proposed updates were last read; zero in a new term
	answered time.Time               // when a closing lane last heard of the proposals that it closes; zero before it does
}

// followed is an update that Proposals has in hand.
type followed struct {
	update  gitops.Update  // pending or proposed; final where it ended beside its pull request, which is to be closed
	held    []gitops.Block // what holds it
	blocked bool           // it is reported as blocked by its proposal, and was not taken since
	told    bool           // Proposals was told of it in this term
	retry   bool           // it is to be wanted once more, although nothing of the wish has changed
}

// told is what was wanted of an app's proposal, by a revision of the configuration.
type told struct {
	wish     gitops.ProposalWish
	revision int
}

func newFollowing() following {
	return following{byID: make(map[string]*followed), byApp: make(map[string][]*followed), told: make(map[string]told), searched: make(map[string]bool)}
}

// put takes an update in hand, or what is known of it by now. A pending one takes the place of
// the app's older pending one: only the newest is wanted.
func (f *following) put(u gitops.Update) *followed {
	if known := f.byID[u.ID]; known != nil {
		u.Found, u.WrittenTag = cmp.Or(u.Found, known.update.Found), cmp.Or(u.WrittenTag, known.update.WrittenTag)
		known.update = u
		return known
	}
	for _, other := range f.byApp[u.App] {
		if u.State == gitops.Pending && other.update.State == gitops.Pending {
			f.drop(other.update.ID)
			break
		}
	}
	added := &followed{update: u}
	f.byID[u.ID] = added
	f.byApp[u.App] = append(f.byApp[u.App], added)
	slices.SortFunc(f.byApp[u.App], func(a, b *followed) int { return cmp.Compare(a.update.Sequence, b.update.Sequence) })
	return added
}

// drop lets go of an update. What was wanted of it is forgotten with it.
func (f *following) drop(id string) {
	known := f.byID[id]
	if known == nil {
		return
	}
	app := known.update.App
	f.untell(app, id)
	delete(f.byID, id)
	rest := slices.DeleteFunc(slices.Clone(f.byApp[app]), func(other *followed) bool { return other == known })
	if len(rest) == 0 {
		delete(f.byApp, app)
		return
	}
	f.byApp[app] = rest
}

// isTold reports whether the last wish for the app was of an update.
func (f *following) isTold(app, id string) bool {
	last, ok := f.told[app]
	return ok && last.wish.Update.ID == id
}

// untell forgets the last wish for an app if it was of an update: Proposals has none any more.
func (f *following) untell(app, id string) {
	if f.isTold(app, id) {
		delete(f.told, app)
	}
}

// open are the updates in hand that have not ended, in acceptance order.
func (f *following) open() (open []gitops.Update) {
	for _, known := range f.byID {
		if !known.update.State.Final() {
			open = append(open, known.update)
		}
	}
	slices.SortFunc(open, func(a, b gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return open
}

// proposes reports whether the lane has to do with proposals.
func (t *leaseTerm) proposes() bool {
	return t.Proposals != nil && (len(t.following.byID) > 0 || t.does().PullRequest)
}

// proposalsChanged receives after there are results; nil where the lane has to do with none.
func (t *leaseTerm) proposalsChanged() <-chan struct{} {
	if !t.proposes() {
		return nil
	}
	return t.Proposals.Changed(t.environment)
}

// look passes a hint on: what gave it may be an event of the forge.
func (t *leaseTerm) look() {
	if t.proposes() {
		t.Proposals.Look(t.environment)
	}
}

// lookIfHinted passes on the hint that came while the lane did something else. What it was
// about is taken in this round.
func (t *leaseTerm) lookIfHinted() {
	if !t.proposes() {
		return
	}
	select {
	case <-t.due: // this round does that, too
	default:
	}
	select {
	case <-t.Queue.Wake(t.environment):
		t.Proposals.Look(t.environment)
	default:
	}
}

// judgeEvery is how often what holds proposals is judged while the lane rests: the end of a
// freeze gives no hint.
const judgeEvery = 5 * time.Second

// judgeWithin is for how long of d the lane may rest.
func (t *leaseTerm) judgeWithin(d time.Duration) time.Duration {
	if len(t.following.byID) == 0 {
		return d
	}
	return min(d, judgeEvery)
}

// followProposals reports what is known of proposals, and what holds their updates by now.
// It reports whether the lease is still ours.
func (t *leaseTerm) followProposals() (ours bool, err error) {
	if err := t.readProposed(); err != nil {
		return true, err
	}
	if !t.proposes() {
		return true, nil
	}
	if ours, err := t.reportResults(); !ours || err != nil {
		return ours, err
	}
	if !t.endUnanswered() {
		return false, nil
	}
	return t.judgeFollowed()
}

// proposalsAgain is how often the proposed updates are read again: a store that lost its last
// reports, in a failover, has updates proposed again whose ends were reported.
const proposalsAgain = 15 * time.Minute

// readProposed takes the environment's proposed updates in hand when the lane is claimed, also
// where the environment has none proposed by now: those of before are followed to their ends.
func (t *leaseTerm) readProposed() error {
	f := &t.following
	if t.Proposals == nil || !f.read.IsZero() && (!t.proposes() || time.Since(f.read) < proposalsAgain) {
		return nil
	}
	found, err := t.proposedUpdates()
	if err != nil {
		return err
	}
	still := make(map[string]bool, len(found))
	for _, u := range found {
		f.put(u)
		still[u.ID] = true
	}
	for id, known := range maps.Clone(f.byID) {
		if known.update.State == gitops.Proposed && !still[id] {
			f.drop(id)
		}
	}
	f.read = time.Now()
	return nil
}

// proposedUpdates reads all proposed updates of the environment, with the tags that were
// written before.
func (t *leaseTerm) proposedUpdates() (all []gitops.Update, err error) {
	page := queue.Page{Limit: pageSize}
	for {
		ctx, cancel := context.WithTimeout(t.ctx, storeTime)
		found, next, err := t.Queue.Updates(ctx, queue.UpdateFilter{Environment: t.environment, State: gitops.Proposed}, page)
		if err == nil {
			err = t.addWrittenTags(ctx, found)
		}
		cancel()
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		if next == "" {
			return all, nil
		}
		page.Cursor = next
	}
}

func (t *leaseTerm) addWrittenTags(ctx context.Context, updates []gitops.Update) error {
	if len(updates) == 0 {
		return nil
	}
	apps := make([]string, len(updates))
	for i, u := range updates {
		apps[i] = u.App
	}
	heads, err := t.Queue.Heads(ctx, t.environment, apps)
	for i, head := range heads {
		updates[i].WrittenTag = head.WrittenTag
	}
	return err
}

// judgeFollowed finds out what holds the updates in hand. What is pending and came to be held
// is reported, as that of any other. It reports whether the lease is still ours.
func (t *leaseTerm) judgeFollowed() (ours bool, err error) {
	open := t.following.open()
	if len(open) == 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	blocks, err := t.Holds.Judge(ctx, open)
	if err != nil {
		return true, err
	}
	b, r := batch{byID: make(map[string]gitops.Update)}, queue.Report{Outage: t.outage}
	for i, u := range open {
		known := t.following.byID[u.ID]
		if u.State == gitops.Pending && len(blocks[i]) > 0 && len(known.held) == 0 {
			b.byID[u.ID] = u
			r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: blocks[i]})
		}
		known.held = blocks[i]
	}
	return len(r.Blocks) == 0 || t.report(b, r), nil
}
