package simulation

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Files that kill the process that parses them. People commit them and replace them, and
// clear what was set aside. In other schedules nothing is guarded: the notes of each fetch
// would be a third of all calls.

// deadly begins the line by which a file kills.
var deadly = regexp.MustCompile(`# deadly \d+\n`)

func drawPoisons(r *rand.Rand) int {
	if r.IntN(12) > 0 {
		return 0
	}
	return 1 + r.IntN(5)
}

// parsers are the guard of one process, for which every file is large.
type parsers struct {
	*guard.Guard
	r *replica
}

// noted is a cost from which on files are noted.
const noted = 8 << 20

func newParsers(r *replica) *parsers {
	p := &parsers{guard.New(8*noted, silent), r}
	if err := p.Use(context.Background(), r.store, r.name); err != nil {
		panic(err) // no fault is between here and the store
	}
	return p
}

// Enter kills the process where a file is parsed that does.
func (p *parsers) Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error) {
	p.r.check.begins(p.r.name, o.Object)
	leave, err = p.Guard.Enter(ctx, o, cost+noted, wait)
	if leave != nil && o.Kind != gitops.ParsedPack && !p.r.isDead() && p.r.isDeadly(o.Object) {
		p.r.check.kills(o)
		p.r.killed(o)
	}
	return leave, err
}

// killed ends the process as its input does: its connections are closed by the kernel,
// and it is started again.
func (r *replica) killed(by gitops.ParsedObject) {
	r.tell("%s dies of %s", r.name, by.Path)
	met.meet("a file killed a process")
	r.end()
	chance := r.chance.of(r.name + "/killed")
	known, after := between(chance, 0, 3*time.Second), between(chance, 0, 5*time.Second)
	// Nobody waits for these: it may happen after all has healed.
	go func() {
		time.Sleep(r.chance.alone(known))
		r.world.store.killHolder(r.name)
	}()
	go r.stop(0)
	for place := range r.places {
		if r.places[place].Load() == r {
			go r.succeed(place, r, r.chance.alone(after))
		}
	}
}

// isDeadly reports whether an object kills who parses it.
func (w *world) isDeadly(object string) bool {
	w.origin.mu.Lock()
	defer w.origin.mu.Unlock()
	line := deadly.Find(w.origin.all[plumbing.NewHash(object)].data)
	return line != nil && !w.check.isCured(string(line))
}

// poisoned is something that a person does with a file that kills, or may.
func (w *world) poisoned(r *rand.Rand) {
	if kind := r.IntN(5); kind == 4 {
		w.clearOne(r, r.IntN(2) == 0)
	} else {
		w.putPoison(release{one(r, environments...), one(r, apps...)}, kind == 3)
	}
}

// putPoison makes a file deadly, or has another in the place of every one that is.
func (w *world) putPoison(in release, away bool) {
	o := w.origin
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tip.IsZero() {
		return
	}
	paths := filesOf(in.environment, in.app)
	tree, path := o.all[o.tip].tree, paths[len(o.stood)%len(paths)]
	files := o.all.files(tree)
	if away {
		for _, path := range targetFiles() {
			if blob, there := files[path]; there && deadly.Match(o.all[blob].data) {
				tree = o.all.with(tree, path, deadly.ReplaceAll(o.all[blob].data, nil))
			}
		}
	} else if blob, there := files[path]; there {
		line := fmt.Appendf(nil, "# deadly %d\n", len(o.stood))
		tree = o.all.with(tree, path, bytes.Join([][]byte{deadly.ReplaceAll(o.all[blob].data, nil), line}, nil))
	}
	if tree == o.all[o.tip].tree {
		return
	}
	to := o.all.commit(tree, fmt.Sprintf("perf: values, number %d", len(o.stood)), time.Now(), o.tip)
	w.tell("a person moves the branch to %s: %s kills, away %t", to.String()[:7], path, away)
	o.move(to)
	w.check.moved(to)
}

// clearOne has a person clear something that is set aside: it may be harmless by now,
// because the processes have more memory.
func (w *world) clearOne(r *rand.Rand, harmless bool) {
	if found := w.setAside(); len(found) > 0 {
		w.clear(found[r.IntN(len(found))], harmless)
	}
}

func (w *world) setAside() (files []gitops.Suspect) {
	suspects, err := w.store.Suspects(context.Background())
	if err != nil {
		w.check.violated("what is set aside cannot be listed: %v", err)
	}
	for _, s := range suspects {
		if s.SetAside() && s.Kind != gitops.ParsedPack {
			files = append(files, s)
		}
	}
	return files
}

func (w *world) clear(s gitops.Suspect, harmless bool) {
	w.tell("a person clears %s, object %s, harmless %t", s.Path, s.Object[:7], harmless)
	met.meet("a person cleared a file")
	w.origin.mu.Lock()
	line := deadly.Find(w.origin.all[plumbing.NewHash(s.Object)].data)
	w.origin.mu.Unlock()
	w.check.cleared(s.Object, string(line), harmless)
	if _, err := w.store.ClearSuspect(context.Background(), s.Object, gitops.AuditEntry{Principal: "token:ann", Actor: "ann", Rule: "access[0]"}); err != nil {
		w.check.violated("%s cannot be cleared: %v", s.Path, err)
	}
}

// clearAll has people clear everything that is set aside, after which it is harmless, and
// retry what failed because of it: that ends otherwise.
func (w *world) clearAll() {
	if w.poisons == 0 {
		return
	}
	if n := w.check.pending(); n > 0 {
		w.check.violated("%d updates wait while nothing but files is set aside", n)
	}
	w.check.cureAll()
	for _, s := range w.setAside() {
		w.clear(s, true)
	}
	failed, _, err := w.store.Updates(context.Background(), queue.UpdateFilter{State: gitops.Failed}, queue.Page{Limit: 1000})
	if err != nil {
		w.check.violated("what failed cannot be listed: %v", err)
	}
	var retried []gitops.Update
	for _, u := range failed {
		if strings.Contains(u.Reason, "is set aside") {
			if _, err := w.store.Decide(context.Background(), queue.Decision{Update: u.ID, Action: gitops.ActionRetry, Actor: "ann"}); err == nil {
				retried = append(retried, u)
			}
		}
	}
	w.wake(nil, gitops.Delivery{Updates: retried})
	w.settle()
	for _, u := range retried {
		w.check.retriedOf(u.ID)
	}
}
