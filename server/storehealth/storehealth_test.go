package storehealth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// fakeStore answers as a test says, and tells the monitor as the stores do.
type fakeStore struct {
	monitor *Monitor

	mu      sync.Mutex
	failing map[queue.CallKind]bool
	hanging map[queue.CallKind]chan struct{} // a call of the kind ends when it is closed, whatever its context
	asked   map[queue.CallKind]int
	usage   queue.Usage
	unknown bool // whether Usage fails
	old     []queue.OldTransaction
}

func (s *fakeStore) call(kind queue.CallKind) error {
	s.mu.Lock()
	s.asked[kind]++
	gate, failing := s.hanging[kind], s.failing[kind]
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.monitor.Answered(kind, !failing)
	if failing {
		return errors.New("the store is away")
	}
	return nil
}

func (s *fakeStore) Ping(context.Context) error             { return s.call(queue.Writing) }
func (s *fakeStore) Latest(context.Context) (string, error) { return "", s.call(queue.Reading) }

func (s *fakeStore) Usage(context.Context) (queue.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[usages]++
	if s.unknown {
		return queue.Usage{}, errors.New("the store is away")
	}
	return s.usage, nil
}

const usages queue.CallKind = -1 // counts the calls of Usage

func (s *fakeStore) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeStore) count(kind queue.CallKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[kind]
}

// sharedStore is one that has others in its database.
type sharedStore struct{ *fakeStore }

func (s sharedStore) OldTransactions(context.Context, time.Duration) ([]queue.OldTransaction, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		return nil, errors.New("the store is away")
	}
	return s.old, nil
}

// watched runs script with a monitor of a store, on a clock that moves only when all
// sleep. The log may be read when nothing runs.
func watched(t *testing.T, script func(t *testing.T, m *Monitor, s *fakeStore, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := New(slog.New(slog.NewTextHandler(&log, nil)))
		s := &fakeStore{
			monitor: m, failing: make(map[queue.CallKind]bool), hanging: make(map[queue.CallKind]chan struct{}), asked: make(map[queue.CallKind]int),
			usage: queue.Usage{Bytes: 1, File: &queue.FileUsage{}},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { m.Run(ctx, sharedStore{s}) })
		synctest.Wait()
		script(t, m, s, &log)
		cancel()
		all.Wait()
	})
}

// elapse moves the bubble's clock, which costs no time.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestUpWithoutTraffic has nobody call the store: it is asked every few seconds, what it
// answers shows within seconds, both ways, and a failure of either kind counts.
func TestUpWithoutTraffic(t *testing.T) {
	for _, kind := range []queue.CallKind{queue.Reading, queue.Writing} {
		watched(t, func(t *testing.T, m *Monitor, s *fakeStore, _ *bytes.Buffer) {
			elapse(time.Minute)
			if n := s.count(kind); !m.Up() || n < 9 || n > 13 {
				t.Errorf("up is %t after a minute, with %d calls", m.Up(), n)
			}
			s.change(func() { s.failing[kind] = true })
			elapse(probeIdle + probeEvery)
			if m.Up() {
				t.Error("a store that is away is up")
			}
			before := s.count(kind)
			elapse(30 * time.Second)
			if n := s.count(kind) - before; n < 28 || n > 31 {
				t.Errorf("a store that is away was asked %d times in 30 s", n)
			}
			s.change(func() { s.failing[kind] = false })
			elapse(probeEvery + failureHolds)
			if !m.Up() {
				t.Error("a store that is back is not up")
			}
		})
	}
}

// TestUpFromRealUse has calls of others tell, which spares the store the questions.
func TestUpFromRealUse(t *testing.T) {
	watched(t, func(t *testing.T, m *Monitor, s *fakeStore, _ *bytes.Buffer) {
		for range 30 {
			m.Answered(queue.Writing, true)
			m.Answered(queue.Reading, true)
			elapse(time.Second)
		}
		if n := s.count(queue.Writing) + s.count(queue.Reading); n > 0 {
			t.Errorf("a store in use was asked %d times", n)
		}
		m.Answered(queue.Writing, false)
		if m.Up() {
			t.Error("after a failure it is up")
		}
		m.Answered(queue.Writing, true)
		elapse(failureHolds - time.Millisecond)
		if m.Up() {
			t.Error("one answer after a failure makes it up at once")
		}
		elapse(time.Millisecond)
		if !m.Up() {
			t.Error("it stays down")
		}
	})
}

// TestAStoreThatHangsIsDown has a call that does not end, as with a disk that does not
// answer: nobody tells of it, and nothing else waits for it.
func TestAStoreThatHangsIsDown(t *testing.T) {
	watched(t, func(t *testing.T, m *Monitor, s *fakeStore, _ *bytes.Buffer) {
		gate := make(chan struct{})
		s.change(func() { s.hanging[queue.Writing] = gate })
		elapse(probeIdle + probeEvery + probeTime)
		if m.Up() {
			t.Error("a store that does not answer is up")
		}
		before := s.count(queue.Writing)
		elapse(time.Minute)
		if n := s.count(queue.Writing); m.Up() || n != before {
			t.Errorf("up is %t; %d more calls wait for the store", m.Up(), n-before)
		}
		s.change(func() { delete(s.hanging, queue.Writing) })
		close(gate)
		elapse(failureHolds)
		if !m.Up() {
			t.Error("a store that answers again is not up")
		}
	})
}

// TestRoomIsMeasured has the volume fill up, to the reserve, and empty again.
func TestRoomIsMeasured(t *testing.T) {
	watched(t, func(t *testing.T, m *Monitor, s *fakeStore, log *bytes.Buffer) {
		fill := func(room queue.Room) {
			s.change(func() { s.usage.File = &queue.FileUsage{Free: 7, Room: room} })
			elapse(fileEvery)
		}
		fill(queue.RoomEnough)
		if u, known := m.Usage(); !known || u.Bytes != 1 || u.File.Free != 7 || !m.Spare() || !m.Up() {
			t.Errorf("with room: %+v, spare %t, up %t", u, m.Spare(), m.Up())
		}
		fill(queue.RoomScarce)
		if m.Spare() || !m.Up() {
			t.Errorf("nearly full: spare %t, up %t", m.Spare(), m.Up())
		}
		fill(queue.RoomReserved)
		if m.Spare() || m.Up() {
			t.Errorf("with the reserve alone: spare %t, up %t", m.Spare(), m.Up())
		}
		for range 3 { // as when the WAL is taken and given back
			fill(queue.RoomEnough)
			elapse(enoughFor / 2)
			fill(queue.RoomScarce)
		}
		if m.Spare() || !m.Up() {
			t.Errorf("with room for moments: spare %t, up %t", m.Spare(), m.Up())
		}
		fill(queue.RoomEnough)
		elapse(enoughFor)
		if !m.Spare() {
			t.Error("with room for a minute nothing is spare")
		}
		for _, line := range []string{"are not kept", "are kept again"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%d lines say %q", n, line)
			}
		}
		s.change(func() { s.unknown = true })
		elapse(fileEvery)
		if u, known := m.Usage(); known {
			t.Errorf("of a store that does not answer: %+v", u)
		}
	})
}

// TestADatabaseIsMeasuredRarely has no file.
func TestADatabaseIsMeasuredRarely(t *testing.T) {
	watched(t, func(t *testing.T, m *Monitor, s *fakeStore, _ *bytes.Buffer) {
		s.change(func() { s.usage = queue.Usage{Bytes: 5} })
		elapse(fileEvery)
		before := s.count(usages)
		elapse(time.Hour)
		if n := s.count(usages) - before; n != 12 {
			t.Errorf("measured %d times in an hour", n)
		}
		if u, known := m.Usage(); !known || u.Bytes != 5 || !m.Up() || !m.Spare() {
			t.Errorf("%+v, known %t, up %t, spare %t", u, known, m.Up(), m.Spare())
		}
	})
}

// TestOldTransactionsAreLoggedOnce has two transactions of others become old, and end.
func TestOldTransactionsAreLoggedOnce(t *testing.T) {
	watched(t, func(t *testing.T, m *Monitor, s *fakeStore, log *bytes.Buffer) {
		if age, known := m.OldestTransaction(); !known || age != 0 {
			t.Errorf("without transactions: %s, known %t", age, known)
		}
		report := queue.OldTransaction{Kind: "session", Name: "4711", User: "ann", Application: "a report", State: "active", Since: time.Now()}
		slot := queue.OldTransaction{Kind: "replication slot", Name: "standby", State: "inactive", Since: time.Now().Add(time.Second)}
		s.change(func() { s.old = []queue.OldTransaction{report, slot} })
		elapse(oldAfter - transactionsEvery)
		if log.Len() > 0 {
			t.Errorf("logged early: %s", log)
		}
		report.State = "idle in transaction"
		s.change(func() { s.old = []queue.OldTransaction{report, slot} })
		elapse(time.Hour)
		report.State = "active"
		s.change(func() { s.old = []queue.OldTransaction{report, slot} })
		elapse(transactionsEvery)
		if age, known := m.OldestTransaction(); !known || age != time.Since(report.Since) {
			t.Errorf("the oldest is %s old, known %t", age, known)
		}
		s.change(func() { s.old = nil })
		elapse(transactionsEvery)
		if age, known := m.OldestTransaction(); !known || age != 0 {
			t.Errorf("when they ended: %s, known %t", age, known)
		}
		for line, want := range map[string]int{
			`kind=session name=4711 user=ann application="a report" state="idle in transaction"`: 1,
			`kind="replication slot" name=standby`:                                               2, "keeps old versions": 2, "has ended": 2,
		} {
			if n := strings.Count(log.String(), line); n != want {
				t.Errorf("%d lines say %q, want %d: %s", n, line, want, log)
			}
		}
		s.change(func() { s.unknown = true })
		elapse(transactionsEvery)
		if _, known := m.OldestTransaction(); known {
			t.Error("of a store that does not answer the oldest transaction is known")
		}
	})
}
