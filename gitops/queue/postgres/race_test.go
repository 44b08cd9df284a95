package postgres_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// TestRace has three processes use one database at once.
func TestRace(t *testing.T) {
	a := schema(t)
	queuetest.Race(t, []queue.Queue{open(t, a), open(t, a), open(t, a)})
}
