package queuetest

import (
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// settle is accept for a delivery that waits.
func (g *golden) settle(a arguments) ([]string, error) {
	stored, settled, err := g.q.Settle(g.t.Context(), g.sent(a))
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("%s, decided %s", stored.Outcome, when(stored.DecidedAt))}
	if !settled {
		lines = []string{fmt.Sprintf("not waiting: %s", stored.Outcome)}
	}
	for _, u := range stored.Updates {
		g.name(u)
	}
	return append(lines, g.lines(stored.Updates)...), nil
}

// waiting lists what waits, page by page, and how many in all.
func (g *golden) waiting(a arguments) ([]string, error) {
	lines, err := paged(g, a, func(p queue.Page) (lines []string, next string, err error) {
		found, next, err := g.q.WaitingDeliveries(g.t.Context(), p)
		for _, d := range found {
			lines = append(lines, fmt.Sprintf("%s since %s %q", d.Key(), when(d.ReceivedAt), d.Event))
		}
		return lines, next, err
	})
	if err != nil {
		return nil, err
	}
	w, err := g.q.WaitingCount(g.t.Context())
	return append(lines, fmt.Sprintf("%d, oldest %s", w.Count, when(w.Oldest))), err
}
