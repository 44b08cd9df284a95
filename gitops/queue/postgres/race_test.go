package postgres_test

import (
	"flag"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

var (
	seedsFlag = flag.Int("seeds", 2, "how many random schedules TestRandomOverReplicas plays")
	firstFlag = flag.Int("first", 0, "the first seed that it plays")
)

// TestRace has three processes use one database at once.
func TestRace(t *testing.T) {
	a := schema(t)
	queuetest.Race(t, []queue.Queue{open(t, a), open(t, a), open(t, a)})
}

// TestRandomOverReplicas plays schedules of calls that their seeds have drawn, on two
// replicas in turn, beside the model.
func TestRandomOverReplicas(t *testing.T) {
	queuetest.Random(t, func(t *testing.T) queuetest.Instance {
		return &replicas{instance{t: t, address: schema(t)}}
	}, *firstFlag, *seedsFlag)
}
