package landing

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func maybePushed(u gitops.Update) gitops.Update {
	u.MaybePushed = true
	return u
}

func TestLandingsForgetTheOldestAndTheirPromise(t *testing.T) {
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	l := NewKnown(100, began.Add(-24*time.Hour))
	l.since = began
	for n := range 110 {
		l.Add(Landing{UpdateTrailer: gitops.UpdateTrailer{Update: fmt.Sprint(n)}, Made: began.Add(time.Duration(n) * time.Second)})
	}
	if len(l.byUpdate) != 100 || len(l.order) != 100 {
		t.Errorf("%d and %d are remembered, want 100", len(l.byUpdate), len(l.order))
	}
	if want := began.Add(9*time.Second + ClockSlack); !l.since.Equal(want) {
		t.Errorf("the promise begins at %s, want %s", l.since, want)
	}
	old := gitops.Update{AcceptedAt: began.Add(ClockSlack)}
	if l.NeedsSearch(old, nil) {
		t.Error("an update that was never pushed is looked for")
	}
	if !l.NeedsSearch(old, map[string]bool{old.ID: true}) || !l.NeedsSearch(maybePushed(old), nil) {
		t.Error("an update from before the promise must be looked for")
	}
}
