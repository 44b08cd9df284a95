package queuetest_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// The model is held to what it holds others to.
func TestConformance(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Instance { return new(instance) })
}

// instance opens what the model before held, in another.
type instance struct{ last *queuetest.Model }

func (i *instance) Open(now func() time.Time) (queue.Queue, error) {
	m := queuetest.NewModel(now, queuetest.Hooks{})
	if i.last != nil {
		m.Restore(i.last.Snapshot())
		for _, holder := range m.Holders() {
			m.KillHolder(holder)
		}
	}
	i.last = m
	return m, nil
}

func (*instance) Crash(q queue.Queue) error { return q.Close() }

func TestRace(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	queuetest.Race(t, []queue.Queue{m, m})
}
