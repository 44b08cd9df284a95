package postgres_test

import (
	"fmt"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestManyFailuresCostLittle has 10,000 failed updates of 10 apps, all overtaken but
// those of one.
func TestManyFailuresCostLittle(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	for n := range 2 {
		d := order(fmt.Sprint(n), "")
		d.Updates = nil
		for i := range queue.MaxUpdates {
			d.Updates = append(d.Updates, gitops.Update{Environment: "dev", App: fmt.Sprintf("app-%d", i), Tag: "v1"})
		}
		accept(t, s, d)
	}
	execute(t, a, `ALTER TABLE updates DISABLE TRIGGER USER`)
	execute(t, a, `UPDATE updates SET state = 'failed', finished_at = now(), app = 'app-' || sequence % 10`)
	execute(t, a, `UPDATE heads SET written = 9223372036854775807, written_id = 'later' WHERE app <> 'app-9'`)
	for _, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} {
		execute(t, a, text)
		var found []queue.Failure
		read := rowsRead(t, a, s, func() (err error) {
			found, err = s.Failures(t.Context())
			return err
		})
		if len(found) != 1 || found[0].App != "app-9" || found[0].Count != 1000 {
			t.Errorf("after %s the failures are %+v", text, found)
		}
		if read > 3000 { // 1,000 of them are the ones that count
			t.Errorf("after %s it looked at %d rows", text, read)
		}
	}
}
