package proposals

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Rooms are the rooms of all manifest repositories, which lanes see as one. Safe for concurrent
// use.
type Rooms struct {
	board *board
	pace  *Pace

	mu     sync.Mutex
	of     func(environment, app string) string
	rooms  map[string]*Room // by the repository's name
	wishes map[appOf]placed // that have not ended
}

// placed are the wishes of an app, and the repository whose room has them; "" for none.
type placed struct {
	older      []gitops.ProposalWish // that were wished for before, and of which a room may still tell
	wish       gitops.ProposalWish
	repository string
}

// want is what is placed after one more wish.
func (p placed) want(next gitops.ProposalWish) placed {
	if id := p.wish.Update.ID; id != "" && id != next.Update.ID {
		p.older = append(slices.Clone(p.older), p.wish)
	}
	p.older = slices.DeleteFunc(slices.Clone(p.older), func(o gitops.ProposalWish) bool { return o.Update.ID == next.Update.ID })
	p.older = p.older[max(0, len(p.older)-olderMost):]
	p.wish = next
	return p
}

// after is what is left of them after a result, and false when nothing is.
func (p placed) after(result gitops.ProposalResult) (placed, bool) {
	t := result.Transition
	proposed := t != nil && t.Action == gitops.ActionPropose
	switch ended := result.HandEdit != nil || t != nil && !proposed; {
	case ended && p.wish.Update.ID == result.Update:
		return p, false
	case proposed && p.wish.Update.ID == result.Update:
		p.older = nil
	case ended:
		p.older = slices.DeleteFunc(slices.Clone(p.older), func(o gitops.ProposalWish) bool { return o.Update.ID == result.Update })
	}
	return p, true
}

// NewRooms returns rooms without a repository.
func NewRooms() *Rooms {
	return &Rooms{
		board: newBoard(), pace: &Pace{}, rooms: map[string]*Room{}, wishes: map[appOf]placed{},
		of: func(string, string) string { return "" },
	}
}

// Configure has rooms for these manifest repositories from now on: of names the repository of an
// app in an environment, "" for none. The room of a repository that keeps its branches and its
// forge goes on. Pull requests of apps that are in another repository now are closed, unless
// the one that they were in has no room any more. Unless it is given, Pace is that of all rooms.
func (r *Rooms) Configure(of func(environment, app string) string, repositories map[string]Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := map[string]bool{} // their wishes
	for name, room := range r.rooms {
		if c, still := repositories[name]; !still || c.Branches != room.config.Branches || c.Forge != room.config.Forge {
			room.Close() // before another works in its repository
			delete(r.rooms, name)
			lost[name] = true
		}
	}
	for name, c := range repositories {
		c.Repository, c.Pace = name, cmp.Or(c.Pace, r.pace)
		c = c.withDefaults()
		if room := r.rooms[name]; room != nil {
			room.review(c)
			continue
		}
		r.rooms[name] = newRoom(c, r.board)
	}
	r.of = of
	for app, p := range r.wishes {
		wishes := []gitops.ProposalWish{p.wish}
		if lost[p.repository] {
			if r.of(app.environment, app.app) == p.repository { // the room of now was told nothing
				wishes = append(slices.Clone(p.older), p.wish)
			}
			p.repository = ""
		}
		r.place(app, p, wishes...)
	}
}

// place gives wishes to the room of their app's repository. The caller holds mu.
func (r *Rooms) place(app appOf, p placed, wishes ...gitops.ProposalWish) {
	name := cmp.Or(r.of(app.environment, app.app), p.repository)
	if was := r.rooms[p.repository]; was != nil && p.repository != name {
		was.withdraw(app)
	}
	p.repository = name
	r.wishes[app] = p
	if room := r.rooms[name]; room != nil {
		room.Want(app.environment, wishes)
		return
	}
	r.nowhere(app, p.wish)
}

// nowhere answers a wish of an app whose repository has no room.
func (r *Rooms) nowhere(app appOf, w gitops.ProposalWish) {
	now := time.Now()
	result := blockedFrom(w.Update, "the manifest repository of "+app.app+" in "+app.environment+" has no forge where pull requests can be opened: configure credentials.githubApp for it", now, now.Add(blockTime))
	if w.Close != "" {
		result = gitops.ProposalResult{Update: w.Update.ID, Transition: new(cancelled(w))}
	}
	r.board.post(app.environment, r.board.term(app.environment), []gitops.ProposalResult{result})
}

// Want implements the lanes' Proposals.
func (r *Rooms) Want(environment string, wishes []gitops.ProposalWish) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range wishes {
		app := appOf{environment, w.Update.App}
		r.place(app, r.wishes[app].want(w), w)
	}
}

// Results implements the lanes' Proposals.
func (r *Rooms) Results(environment string) []gitops.ProposalResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := r.board.take(environment)
	if len(results) == 0 {
		return nil
	}
	of := map[string]appOf{} // by the update's id
	for app, p := range r.wishes {
		if app.environment != environment {
			continue
		}
		of[p.wish.Update.ID] = app
		for _, o := range p.older {
			of[o.Update.ID] = app
		}
	}
	for _, result := range results {
		app, ok := of[result.Update]
		if p, still := r.wishes[app]; ok && still {
			if r.wishes[app], still = p.after(result); !still {
				delete(r.wishes, app)
			}
		}
	}
	return results
}

// Changed implements the lanes' Proposals.
func (r *Rooms) Changed(environment string) <-chan struct{} { return r.board.wait(environment) }

// Look implements the lanes' Proposals.
func (r *Rooms) Look(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, room := range r.rooms {
		room.Look(environment)
	}
}

// Leave implements the lanes' Proposals.
func (r *Rooms) Leave(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.wishes, func(app appOf, _ placed) bool { return app.environment == environment })
	r.board.leave(environment)
	for _, room := range r.rooms {
		room.leave(environment)
	}
}

// Away implements the lanes' Proposals. Where there is one repository the outage is not said to
// be of some.
func (r *Rooms) Away(environment string) *queue.Outage {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := map[string]bool{}
	for app, p := range r.wishes {
		asked[p.repository] = asked[p.repository] || app.environment == environment
	}
	var all []queue.Outage
	for _, name := range slices.Sorted(maps.Keys(r.rooms)) {
		if o := r.rooms[name].Away(environment); o != nil && asked[name] {
			all = append(all, *o)
		}
	}
	if len(all) == 0 {
		return nil
	}
	one := all[0]
	if len(r.rooms) == 1 {
		one.Repository = ""
	}
	if len(all) > 1 {
		var names, reasons []string
		for _, o := range all {
			names, reasons = append(names, o.Repository), append(reasons, o.Repository+": "+o.Reason)
		}
		one.Repository, one.Reason = queue.JoinNames(names), gitops.Clip(strings.Join(reasons, "; "), maxOutage)
	}
	return &one
}

// maxOutage bounds what is said of several repositories that are away.
const maxOutage = 2_000

// Close ends the work of all rooms.
func (r *Rooms) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, room := range r.rooms {
		room.Close()
		delete(r.rooms, name)
	}
}
