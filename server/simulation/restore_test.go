package simulation

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What takes the store back in time.

// backup is the store at a moment, and the checker's books of that moment.
type backup struct {
	restore func(byOperator bool)
	books   books
}

func (w *world) backup() backup {
	w.tell("the store is backed up")
	return backup{w.store.backup(), w.check.copyBooks()}
}

// bringBack restores a backup, unless it is from before another restore: what was
// accepted after that one is then in two histories that do not know of each other.
func (w *world) bringBack(b backup, byOperator bool) {
	if w.check.isCurrent(b.books) {
		b.restore(byOperator)
		w.check.restored(b.books)
	}
}

// restore takes a backup now and goes back to it later: as an operator does, with
// every replica stopped, or as a failover does to a standby that was behind.
func (w *world) restore(r *rand.Rand) {
	b := w.backup()
	if r.IntN(2) == 0 {
		behind, cut := between(r, 100*time.Millisecond, 6*time.Second), r.IntN(2) == 0
		w.background.Go(func() {
			time.Sleep(behind)
			w.tell("the store fails over to a standby that is %s behind", behind)
			met.meet("the store failed over and lost something")
			w.bringBack(b, false)
			if cut { // else every session outlived it
				w.store.killHolders()
			}
		})
		return
	}
	within, keyless := one(r, 0, 25*time.Second), r.IntN(4) == 0
	after := between(r, time.Second, 40*time.Second)
	w.background.Go(func() {
		time.Sleep(after)
		w.restoreStopped(b, within, keyless)
	})
}

// restoreStopped restores a backup as the documentation says, or one without the key.
func (w *world) restoreStopped(b backup, within time.Duration, keyless bool) {
	w.closed.Add(1)
	for _, r := range w.replicas() {
		if within == 0 {
			r.crash()
		} else {
			w.background.Go(func() { r.stop(within) })
		}
	}
	time.Sleep(time.Minute) // nothing of theirs is on its way any more
	w.tell("the backup is restored")
	met.meet("a backup was restored")
	w.bringBack(b, true)
	if keyless {
		w.store.forgetProofKeys()
		w.check.keyLost()
		met.meet("the store lost its key")
	}
	w.store.killHolders()
	if w.closed.Add(-1) > 0 {
		return // another restore begins them
	}
	for place := range w.places {
		r := w.newReplica(w.nextName())
		w.places[place].Store(r)
		r.start()
	}
}

// books are what of the checker's a restore takes back.
type books struct {
	updates map[string]gitops.Update
	tokens  map[string]int64
	waiting map[gitops.DeliveryKey]bool
	highest int64
	stints  []gitops.Hold
	held    map[string]bool // updates
	word    map[release]time.Time
	seen    map[string][]string
	known   map[string]bool // images
	version map[release]string

	restores int // that there had been
}

func (c *checker) copyBooks() books {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := books{make(map[string]gitops.Update), maps.Clone(c.tokens), maps.Clone(c.waiting), c.highest, c.lasting(), make(map[string]bool), maps.Clone(c.word), c.seenImages(), maps.Clone(c.known), maps.Clone(c.versions), c.restores}
	for id, u := range c.updates {
		if !u.lost {
			b.updates[id], b.held[id] = u.Update, u.held
		}
	}
	return b
}

// isCurrent reports whether nothing was restored since the books were copied.
func (c *checker) isCurrent(b books) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.restores == c.restores
}

// restored puts the books back. What is on the branch stays there, and what was
// accepted keeps its place in the order of acceptance.
func (c *checker) restored(b books) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens, c.waiting, c.highest = maps.Clone(b.tokens), maps.Clone(b.waiting), b.highest
	c.word = maps.Clone(b.word)
	c.seen, c.known, c.versions = b.seen, b.known, b.version
	c.bringBack(b.stints)
	c.restores++
	for _, id := range slices.Sorted(maps.Keys(c.updates)) {
		known := c.updates[id]
		before, there := b.updates[id]
		if there {
			known.Update, known.held, known.lost = before, b.held[id], false
			continue
		}
		c.w.tell("%s (%s in %s to %s, %s) is lost", id, known.App, known.Environment, known.Tag, known.State)
		known.lost, known.wasLost = true, true
	}
}
