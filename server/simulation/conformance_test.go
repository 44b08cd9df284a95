package simulation

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// The simulation's store is held to the same suite as the real ones: what it
// proves of a store is then true of those.
func TestConformance(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Instance { return &instance{newMemory(nil)} })
}

// instance opens the same memory again and again. A crash of one process is
// nothing to a database: what was committed is there.
type instance struct{ store *memory }

func (i *instance) Open(now func() time.Time) (queue.Queue, error) {
	i.store.now, i.store.closed = now, false
	return i.store, nil
}

func (*instance) Crash(q queue.Queue) error { return q.Close() }
