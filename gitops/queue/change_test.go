package queue_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// A change is about the update that it is of, about all of a delivery, or about none.
func TestUpdatesOfAChange(t *testing.T) {
	one, two := gitops.Update{ID: "1"}, gitops.Update{ID: "2"}
	for name, c := range map[string]struct {
		of   queue.Change
		want int
	}{
		"an update":  {queue.Change{Update: &one}, 1},
		"a delivery": {queue.Change{Delivery: &gitops.Delivery{Updates: []gitops.Update{one, two}}}, 2},
		"a hold":     {queue.Change{Hold: &gitops.Hold{}}, 0},
	} {
		if got := c.of.Updates(); len(got) != c.want || c.want > 0 && got[0].ID != "1" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
