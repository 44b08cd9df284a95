package simulation

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	schedulesFlag = flag.Int("schedules", usual, "how many schedules TestSchedules plays")
	firstFlag     = flag.Int("first", 0, "the first seed that TestSchedules plays")
	seedFlag      = flag.Int("seed", -1, "play this seed alone, and tell what happens")
	untilFlag     = flag.String("until", "", "end with the first schedule that has a violation which says this")
)

// TestSchedules plays one schedule after the other, with the store in memory.
func TestSchedules(t *testing.T) { playSchedules(t, *schedulesFlag, newModelStore) }

// inOrder has goroutines run in the same order every time: on one processor, and without the
// garbage collector, which interrupts them. The caller runs it between two schedules.
func inOrder() (restore func()) {
	processors, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	return func() {
		runtime.GOMAXPROCS(processors)
		debug.SetGCPercent(percent)
	}
}

// playSchedules plays so many schedules, one after the other.
func playSchedules(t *testing.T, n int, newStore func(*world) store) {
	defer inOrder()()
	first := *firstFlag
	if *seedFlag >= 0 {
		first, n = *seedFlag, 1
	}
	found := false
	for seed := first; seed < first+n && !found; seed++ {
		runtime.GC()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, uint64(seed), newStore)
				defer w.store.close()
				w.play()
				w.report(seed)
				found = *untilFlag != "" && w.check.found(*untilFlag)
			})
		})
	}
	if n >= 1000 && *untilFlag == "" {
		met.check(t)
	}
}

func (w *world) report(seed int) {
	w.t.Helper()
	for _, v := range w.check.violations {
		w.t.Error(v)
	}
	if w.t.Failed() {
		test, _, _ := strings.Cut(w.t.Name(), "/")
		w.t.Logf("to play it again: go test ./server/simulation -run '^%s$' -seed=%d -v", test, seed)
	}
}

// event is something that happens at a time of the schedule.
type event struct {
	at   time.Duration
	what func()
}

// play runs the schedule to its end.
func (w *world) play() {
	plan := w.chance.of("plan")
	time.Sleep(time.Until(w.frozen.at.Add(-w.idle - w.length/2)))
	w.places = make([]atomic.Pointer[replica], w.count)
	for place := range w.places {
		w.places[place].Store(w.newReplica(w.nextName()))
	}
	w.grow()
	for _, r := range w.replicas() {
		r.start()
	}
	events := w.events(plan)
	began := time.Now()
	for _, e := range events {
		time.Sleep(time.Until(began.Add(e.at)))
		e.what()
	}
	time.Sleep(time.Until(began.Add(w.length)))
	w.heal()
	w.senders.Wait()
	w.background.Wait()     // the branch is back
	time.Sleep(time.Second) // a replica that has just started is not stopped at the same moment
	w.settle()
	w.clearAll()
	w.closed.Add(1) // who dies now has no successor
	for _, r := range w.replicas() {
		r.stop(time.Minute)
	}
	time.Sleep(5 * time.Minute) // what was still on its way has arrived
	w.check.finally()
}

// nextName names a process.
func (w *world) nextName() string { return fmt.Sprintf("r%d", w.born.Add(1)-1) }

// grow lets the writers be there for a while before anything is accepted: what is
// accepted within the first hour is looked for in any case.
func (w *world) grow() {
	if w.idle == 0 {
		return
	}
	for _, r := range w.replicas() {
		_ = r.writer.Handshake(context.Background()) // the first write makes up for one that failed
	}
	time.Sleep(w.idle)
}

// events draws what happens when.
func (w *world) events(plan *rand.Rand) []event {
	var events []event
	busy := make([]time.Duration, w.busy)
	for i := range busy {
		busy[i] = between(plan, 0, w.length)
	}
	add := func(n int, name string, what func(r *rand.Rand)) {
		for i := range n {
			r := w.chance.of(fmt.Sprintf("%s %d", name, i))
			at := between(plan, 0, w.length)
			if plan.IntN(4) > 0 {
				at = one(plan, busy...) + between(plan, 0, 200*time.Millisecond)
			}
			events = append(events, event{at, func() { what(r) }})
		}
	}
	n := 0
	add(w.deliveries, "delivery", func(r *rand.Rand) {
		n++
		d := w.invent(r, n)
		w.sent = append(w.sent, d)
		w.send(r, d)
	})
	add(w.profile.events, "event", w.trouble)
	add(w.people, "person", w.byHand)
	add(w.forgeries, "forgery", w.forge)
	add(w.refusals, "refusal", w.refusal)
	add(w.restores, "restore", w.restore)
	add(w.decisions, "decision", w.decide)
	add(w.poisons, "poison", w.poisoned)
	add(w.acts, "act", w.act)
	add(w.reloads, "reload", w.reload)
	add(w.images.outages, "registry's outage", w.refuse)
	add(w.images.moves, "moved tag", w.moveOne)
	add(w.clusters.outages, "Argo CD's outage", w.argoAway)
	add(w.polling.pushes, "unheard push", w.pushUnheard)
	if w.proposing.environment != "" {
		add(w.proposing.acts, "review", w.review)
		add(w.proposing.acts/4, "order of a closed tag", w.orderClosed)
		add(w.proposing.outages, "forge's outage", w.forgeAway)
	}
	add(w.newcomers, "newcomer's delivery", w.inventNewcomers)
	add(min(w.newcomers, 1), "newcomer", w.appear)
	slices.SortFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return events
}

// trouble befalls one replica, or the store.
func (w *world) trouble(r *rand.Rand) {
	place := r.IntN(len(w.places))
	victim := w.places[place].Load()
	lasts := one(r, between(r, time.Second, 30*time.Second), between(r, 30*time.Second, 90*time.Second))
	later := func(what func()) {
		w.background.Go(func() {
			time.Sleep(lasts)
			what()
		})
	}
	after, within := between(r, 0, 40*time.Second), one(r, time.Second, 25*time.Second)
	die := func() {
		victim.crash()
		w.replace(place, victim, after)
	}
	stand := func() {
		victim.pause()
		later(victim.resume)
	}
	kinds := 18
	if w.sweeps {
		kinds = 15 // no clock jumps
	}
	switch kind := r.IntN(kinds); {
	case kind < 3:
		die()
	case kind < 6:
		victim.lieInWait(die)
	case kind < 9:
		victim.lieInWait(stand)
	case kind < 12:
		stand()
	case kind < 13:
		w.background.Go(func() { victim.stop(within) })
		w.replace(place, victim, between(r, 0, 10*time.Second))
	case kind < 14:
		victim.storeCut.Store(true)
		later(func() { victim.storeCut.Store(false) })
	case kind < 15:
		victim.networkCut.Store(true)
		later(func() { victim.networkCut.Store(false) })
	case kind < 16:
		w.tell("%s's clock jumps", victim.name)
		victim.offset.Add(int64(between(r, 0, 10*time.Minute)))
	default:
		w.tell("the store's clock jumps")
		// Set back it keeps the lane of a dead replica blocked for longer, and by no
		// more than that: settle waits for it.
		back := time.Duration(w.storeOffset.Load()) - 3*time.Minute
		w.jumped.Store(time.Now().UnixNano())
		w.storeOffset.Store(int64(max(back, between(r, -20*time.Minute, 20*time.Minute))))
	}
}

// replace puts a new process in the place of one that has ended, some time later.
func (w *world) replace(place int, old *replica, after time.Duration) {
	w.background.Go(func() { w.succeed(place, old, after) })
}

func (w *world) succeed(place int, old *replica, after time.Duration) {
	time.Sleep(after)
	if w.closed.Load() > 0 {
		return
	}
	fresh := w.newReplica(w.nextName())
	if !w.places[place].CompareAndSwap(old, fresh) {
		_ = fresh.writer.Close() // another did; it has no error to give
		if fresh.proposed != nil {
			fresh.proposed.Close()
		}
		return
	}
	fresh.start()
}

// heal ends all faults.
func (w *world) heal() {
	w.tell("everything heals")
	w.healed.Store(true)
	w.check.heals()
	w.appeared.Store(true)
	w.origin.thaw(time.Now().Add(time.Hour))
	w.registries.recover()
	w.cluster.recover()
	w.forgeHost.recover()
	for _, r := range w.replicas() {
		r.lieInWait(nil)
		r.resume()
		r.storeCut.Store(false)
		r.networkCut.Store(false)
	}
}

// settle waits until every accepted update has ended, for as long as the lanes'
// longest waits may take: of a fetch that was set aside, by a store whose clock is ahead.
func (w *world) settle() {
	defer w.check.rest()
	for range 1800 {
		if w.check.pending() == 0 {
			return
		}
		w.liftAll()
		w.conclude()
		time.Sleep(2 * time.Second)
	}
}
