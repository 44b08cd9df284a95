package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestClosedUpdatesCostNothing has 2,000 proposals of one app that people closed, each of
// another tag, and takes one of them again: the others are not looked at, with and without
// statistics.
func TestClosedUpdatesCostNothing(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	d := order("closed", "")
	d.Updates = nil
	for i := range 2000 {
		d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d", i), Tag: "v1"})
	}
	accept(t, s, d)
	execute(t, a, `ALTER TABLE updates DISABLE TRIGGER orders_unchanged`)
	execute(t, a, `UPDATE updates SET app = 'api', tag = CASE sequence % 65536 WHEN 7 THEN 'main-1a2b3c4' ELSE 'v' || sequence END, state = 'closed', finished_at = now()`)
	execute(t, a, `ALTER TABLE updates ENABLE TRIGGER orders_unchanged`)
	again := accept(t, s, order("again", "api")).Updates[0]
	l := claim(t, s, "one", "dev", time.Hour)
	for _, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} { // entries that the statement above left in the indexes cost the first who comes
		execute(t, a, text)
		for range 7 { // a statement has its own plan from the sixth time on
			n := rowsRead(t, a, s, func() error {
				taken, err := s.Take(t.Context(), l, queue.TakeOptions{Limit: 10, NewestOnly: true})
				if err == nil && (len(taken) != 1 || taken[0].ID != again.ID || taken[0].ClosedBefore == nil) {
					err = fmt.Errorf("taken is %+v", taken)
				}
				return err
			})
			if n > 100 {
				t.Errorf("after %s: the server looked at %d rows", text, n)
			}
		}
	}
}
