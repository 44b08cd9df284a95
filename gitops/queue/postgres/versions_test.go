package postgres_test

import (
	"fmt"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestTheHighestVersionIsFoundByAnIndex has 20,000 open updates of one app: to find the
// highest of their versions, an accept looks at one.
func TestTheHighestVersionIsFoundByAnIndex(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	accept(t, s, order("first", "api"))
	execute(t, a, `INSERT INTO updates (sequence, id, environment, app, repository, tag, version, digest, rule, state, reason, accepted_at)
		SELECT sequence + n, id || n, environment, app, repository, '1.' || (10000 + n) || '.0', '01105' || (10000 + n) || '010~', digest, rule, state, reason, accepted_at
		FROM updates, generate_series(1, 20000) AS n`)
	n := 0
	next := func() error {
		n++
		d := order(fmt.Sprint(n), "api")
		d.Updates[0].Tag, d.Updates[0].OnlyUp = "1.19999.0", true
		accepted, _, err := s.Accept(t.Context(), d)
		if err == nil && accepted.Updates[0].State != gitops.Superseded {
			err = fmt.Errorf("the update is %+v", accepted.Updates[0])
		}
		return err
	}
	for _, text := range []string{`VACUUM updates`, `VACUUM ANALYZE`} {
		execute(t, a, text)
		if err := next(); err != nil { // plans are made
			t.Fatal(err)
		}
		if read := rowsRead(t, a, s, next); read > 50 {
			t.Errorf("after %s: an accept looks at %d rows", text, read)
		}
	}
}
