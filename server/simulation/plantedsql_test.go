package simulation

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
)

const migration = "gitops/queue/postgres/migrations/0001/"

// plantedInSQL are bugs in the functions of the database, each with a seed that finds
// it: the search begins there, so that it takes seconds.
var plantedInSQL = []struct {
	planted
	from uint64
}{
	{planted{
		"the database takes the report of a holder that lost the lease",
		migration + "4_leases.sql",
		"WHERE name = lane AND token = lease_token AND holder = lease_holder AND lease = 'held' FOR UPDATE;",
		"WHERE name = lane AND lease = 'held' FOR UPDATE;",
		"under token",
	}, 52},
	{planted{
		"a report in the database leaves the older updates open",
		migration + "6_report.sql",
		"superseded := supersede(lane, written, proposed, now_at);",
		"superseded := '{}';",
		"comes onto the branch after",
	}, 112},
	{planted{
		"a report in the database supersedes newer updates, too",
		migration + "5_lanes.sql",
		"AND o.sequence + 0 < bound OFFSET 0",
		"OFFSET 0",
		"and nothing that came after it was written",
	}, 9},
	{planted{
		"a block in the database never lifts",
		migration + "5_lanes.sql",
		"WHERE u.environment = lane AND u.ready_at <= now_at)",
		"WHERE u.environment = lane AND false)",
		"was accepted and has not ended",
	}, 100},
	{planted{
		"no event is late for the database",
		migration + "3_accept.sql",
		"RETURN CASE WHEN date_trunc('second', a.event) < date_trunc('second', newest) THEN newest END;",
		"RETURN NULL;",
		"and was accepted as new",
	}, 2},
}

// TestPlantedSQLBugsAreFound plants bugs in the functions of a database, one at a
// time, and wants the schedules to find each by what that bug does.
func TestPlantedSQLBugsAreFound(t *testing.T) {
	defer inOrder()()
	server := startServer(t)
	for _, bug := range plantedInSQL {
		t.Run(bug.name, func(t *testing.T) {
			d := startDatabase(t, server)
			if _, err := d.conn.Exec(t.Context(), bug.function(t), pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
			for seed := bug.from; seed < bug.from+100; seed++ {
				found := false
				runtime.GC()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, d.newStore)
					defer w.store.close()
					w.play()
					found = w.check.found(bug.says)
				})
				if found {
					t.Logf("found by seed %d", seed)
					return
				}
			}
			t.Errorf("no schedule found %q", bug.says)
		})
	}
}

// function is the statement that puts the bug in the place of the function.
func (p planted) function(t *testing.T) string {
	t.Helper()
	const create, end = "CREATE FUNCTION ", "$$;"
	before, after := p.around(t)
	begin := strings.LastIndex(before, create)
	rest, _, ended := strings.Cut(after, end)
	if begin < 0 || !ended || strings.Contains(before[begin:], end) {
		t.Fatalf("%s: %q is in no function", p.file, p.old)
	}
	return "CREATE OR REPLACE FUNCTION " + before[begin+len(create):] + p.new + rest + end
}
