package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// waitingByAWrongClock has a replica whose clock is wrong receive what waits, and an event
// that is said to come from the future: both happened when the store took them in. So what
// came before is older, and what was said of an earlier time stays.
func waitingByAWrongClock(s *script) {
	s.accept(s.order("dev/new"))
	s.advance(time.Minute)
	for _, c := range []struct{ received, event time.Duration }{{-time.Hour, 0}, {time.Hour, 0}, {0, time.Hour}, {0, -30 * time.Second}} {
		d := s.order("dev/new")
		updates := d.Updates
		d.ReceivedAt = s.clock.Now().Add(c.received)
		want := s.clock.Now()
		if c.event != 0 {
			d.EventTime = want.Add(c.event)
		}
		if c.event < 0 {
			want = d.EventTime
		}
		d.Outcome, d.Reason, d.Event, d.Updates = gitops.OutcomeWaiting, "no app has the name yet", []byte("{}"), nil
		if d = s.accept(d); !d.EventTime.Equal(want) {
			s.t.Fatalf("received %s and sent %s from now: the event is of %s, not %s", c.received, c.event, d.EventTime, want)
		}
		s.advance(2 * time.Second)
		u := s.settle(becomes(d, updates)).Updates[0]
		if !u.EventTime.Equal(want) || u.State != gitops.Pending && c.event >= 0 {
			s.t.Fatalf("received %s and sent %s from now: %+v", c.received, c.event, u)
		}
		s.advance(2 * time.Second)
	}
}
