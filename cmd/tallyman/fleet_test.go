package main

import (
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// fleet is traffic to several replicas with one store. A sender is a patient load
// balancer: it takes any replica that is up, and another one when that fails.
type fleet struct {
	*traffic
	members []*member

	mu    sync.Mutex
	ready chan struct{} // closed while a replica is up
}

// member is one replica. Its fields are the fleet's lock's.
type member struct {
	child       *child
	base, admin string // empty while it is down
}

// newFleet makes n deliveries for so many replicas, and no person beside them. A
// site's store is a file; url puts another in its place.
func newFleet(t *testing.T, n, replicas int, url string) *fleet {
	f := &fleet{traffic: newTraffic(t, n), ready: make(chan struct{})}
	f.notes, f.where = nil, f.anywhere
	for range replicas {
		f.members = append(f.members, &member{})
	}
	text, err := os.ReadFile(f.config())
	f.must(err)
	if url != "" {
		text = []byte(strings.Replace(string(text), "store: sqlite://"+f.dir+"/tallyman.db\n", "store: "+url+"\n", 1))
	}
	f.must(os.WriteFile(f.config(), append([]byte("lease: 3s\n"), text...), 0o600))
	return f
}

// up starts the replica, again and again until it can: its store may be down.
func (f *fleet) up(m *member) {
	for f.ctx.Err() == nil {
		c, err := startChild(binary, "serve", "--config", f.config())
		if err != nil {
			f.t.Error(err)
			return
		}
		f.t.Cleanup(func() { _ = c.kill() })
		base, admin, err := c.awaitReady(f.ctx)
		if err != nil {
			_ = c.cmd.Wait()
			continue
		}
		f.mu.Lock()
		m.child, m.base, m.admin = c, base, admin
		select {
		case <-f.ready:
		default:
			close(f.ready)
		}
		f.mu.Unlock()
		return
	}
}

// away takes the replica out of the senders' sight, and returns its process.
func (f *fleet) away(m *member) *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.base = ""
	if f.anyUp() == "" {
		f.ready = make(chan struct{})
	}
	return m.child
}

// anyUp is the address of a random replica that is up. The caller has the lock.
func (f *fleet) anyUp() (base string) {
	for _, i := range rand.Perm(len(f.members)) {
		if base == "" {
			base = f.members[i].base
		}
	}
	return base
}

func (f *fleet) anywhere() (string, error) {
	for {
		f.mu.Lock()
		base, ready := f.anyUp(), f.ready
		f.mu.Unlock()
		if base != "" {
			return base, nil
		}
		select {
		case <-ready:
		case <-f.ctx.Done():
			return "", f.ctx.Err()
		}
	}
}

// run sends everything while events happens, waits until nothing is pending, stops
// the replicas in order and checks the branch.
func (f *fleet) run(events func(done <-chan struct{})) {
	f.t.Helper()
	for _, m := range f.members {
		f.up(m)
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { events(done) })
	f.sendAll(32)
	close(done)
	others.Wait()
	f.awaitDrained(f.members[0])
	for _, m := range f.members {
		if err := f.away(m).stop(); err != nil {
			f.t.Errorf("after SIGTERM: %v", err)
		}
	}
	f.check(nil)
}

// awaitDrained waits until nothing is pending, as the member sees it.
func (f *fleet) awaitDrained(m *member) {
	f.t.Helper()
	for f.pending(m.admin) > 0 {
		select {
		case <-time.After(100 * time.Millisecond): // another process' state: there is nothing to wait on
		case <-f.ctx.Done():
			f.t.Fatal("updates still wait")
		}
	}
}

// sendSome sends these of the deliveries to any replica that is up.
func (f *fleet) sendSome(from, to int) {
	f.t.Helper()
	for _, d := range f.deliveries[from:to] {
		f.must(f.send(http.DefaultClient, d))
	}
}

// failPushes has the git server answer 500 to every fifth push at random: half of
// them it has not done, and half it has.
func (f *fleet) failPushes() {
	for _, applied := range []bool{false, true} {
		f.git.Inject(gitserver.Fault{
			On: gitserver.Push, Times: -1, Apply: applied, Status: http.StatusInternalServerError, Body: "a bad day",
			When: func() bool { return rand.IntN(10) == 0 },
		})
	}
}

// killEverySecond kills a random replica each second and starts it again.
func (f *fleet) killEverySecond(done <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for kills := 0; ; kills++ {
		select {
		case <-ticker.C:
		case <-done:
			f.t.Logf("%d kills", kills)
			return
		}
		m := f.members[rand.IntN(len(f.members))]
		if err := f.away(m).kill(); err != nil {
			f.t.Error(err)
		}
		f.up(m)
	}
}

// awaitAnswers waits until so many more deliveries are answered.
func (f *fleet) awaitAnswers(n int) {
	for range n {
		select {
		case <-f.answers:
		case <-f.ctx.Done():
			return
		}
	}
}

// deliveriesOf is how many deliveries the long tests send: TALLYMAN_DELIVERIES, or
// by default as many as CI has time for.
func deliveriesOf(t *testing.T) int {
	text := os.Getenv("TALLYMAN_DELIVERIES")
	if text == "" {
		return 800
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
