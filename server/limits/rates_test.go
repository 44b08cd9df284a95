package limits

import (
	"fmt"
	"testing"
	"time"
)

// A minute that slides: of the window before the current one a part counts.
func TestRefusalsAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newRefusals(10, func() time.Time { return now })
	a, b := refusalKey{"192.0.2.1", "/a"}, refusalKey{"192.0.2.1", "/b"}
	for step, s := range []struct {
		after time.Duration
		count int
		over  bool
	}{
		{0, 9, false},
		{0, 1, true},
		{59 * time.Second, 0, true},
		{2 * time.Second, 0, false}, // 10 of the last window, of which 59/60 count
		{0, 1, true},
		{30 * time.Second, 0, false},
		{0, 5, true},
		{time.Minute, 0, false},
		{0, 10, true},
		{2 * time.Minute, 0, false},
		{0, 9, false},
	} {
		now = now.Add(s.after)
		for range s.count {
			c.count(a)
		}
		if c.over(a) != s.over {
			t.Errorf("step %d: over is %t", step, !s.over)
		}
		if c.over(b) {
			t.Errorf("step %d: another route is over, too", step)
		}
	}
}

// However many clients there are, so many are counted by themselves.
func TestCountedClientsAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newRefusals(2, func() time.Time { return now })
	early := refusalKey{"early", "/"}
	c.count(early)
	for n := range 2 * mostRefused {
		c.count(refusalKey{fmt.Sprint(n), "/"})
	}
	if len(c.current) > mostRefused+1 {
		t.Errorf("%d are counted", len(c.current))
	}
	if c.over(early) {
		t.Error("the others' refusals are those of one who is counted alone")
	}
	if !c.over(refusalKey{"late", "/"}) {
		t.Error("those beyond are not counted at all")
	}
	if c.over(refusalKey{"late", "/other"}) {
		t.Error("they are counted for another route")
	}
	now = now.Add(2 * refusalWindow)
	if c.over(refusalKey{"late", "/"}) || len(c.current)+len(c.last) > 0 {
		t.Error("they are never forgotten")
	}
}
