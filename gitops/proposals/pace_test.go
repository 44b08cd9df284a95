package proposals

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p Pace
	now := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	for i := range mostPerHour {
		if !p.take(now, true) {
			t.Fatalf("write %d is not taken", i)
		}
		if p.take(now, false) || p.take(now.Add(writeEvery-1), true) {
			t.Fatalf("two writes within a second")
		}
		if next := p.next(now, false); !next.Equal(now.Add(writeEvery)) {
			t.Fatalf("the next write may be at %s, not a second after %s", next, now)
		}
		now = now.Add(writeEvery)
	}
	if p.take(now.Add(time.Minute), true) {
		t.Error("more creations than an hour may have")
	}
	if !p.take(now.Add(time.Minute), false) {
		t.Error("what takes something back waits for the hour")
	}
	full := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	if at := p.next(now, true); !at.Equal(full) || !p.take(full, true) {
		t.Errorf("the next creation may be at %s", at)
	}
}
