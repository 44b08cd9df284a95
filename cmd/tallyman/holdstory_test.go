package main

import (
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What a person on call sees from the bad release to the fix: testdata/holds.golden.
func TestTheStoryOfARollback(t *testing.T) {
	s := newSite(t, 1)
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	tr := &transcript{t: t, ids: map[string]string{}}
	dispatched := func(id, tag string) {
		t.Helper()
		d := dispatch{App: []string{"app-00"}, Environment: []string{"prod"}, Tag: tag, eventType: "update-image", actor: "ann", repositoryID: 1}
		req, err := d.request(base, s.secret, id)
		s.deliver(req, err, http.StatusAccepted)
	}
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "prod", "--key", "r1", "--wait")
	tr.run("update", "app-00", "main-1a2b3c5", "--env", "prod", "--key", "r2", "--wait")

	tr.note("main-1a2b3c5 loses orders.")
	tr.run("rollback", "app-00", "--env", "prod", "--reason", "incident 4711", "--dry-run")
	tr.run("rollback", "app-00", "--env", "prod", "--reason", "incident 4711", "--key", "back")
	tr.run("rollback", "app-00", "--env", "prod", "--reason", "incident 4711", "--key", "back")
	tr.note("GitHub delivers dispatches of the bad tag and of a newer one.")
	dispatched("guid-1", "main-1a2b3c5")
	dispatched("guid-2", "main-1a2b3c6")
	held := gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: "guid-2"}, "prod", "app-00")
	s.must(c.await(ctx, func(line map[string]any) bool { return line["msg"] == "update held" && line["update"] == held }))
	tr.run("status")
	tr.run("explain", "guid-2")
	tr.run("why", "app-00", "--env", "prod")
	tr.run("update", "app-00", "main-1a2b3c7", "--env", "prod", "--key", "r3")
	tr.run("unpin", "app-00", "--env", "prod", "--reason", "fixed")
	s.must(c.await(ctx, func(line map[string]any) bool { return line["msg"] == "update committed" && line["update"] == held }))

	tr.run("update", "app-00", "main-1a2b3c7", "--env", "prod", "--key", "r3", "--wait")

	tr.note("Everything is stopped, and one tag must go all the same.")
	tr.run("stop", "--env", "prod")
	tr.run("update", "app-00", "main-1a2b3c8", "--env", "prod", "--key", "r5")
	tr.run("rollback", "app-00", "--env", "prod", "--to", "main-1a2b3c6", "--reason", "incident 4712")
	tr.run("rollback", "app-00", "--env", "prod", "--to", "main-1a2b3c6", "--reason", "incident 4712", "--through-stop", "it loses orders")
	tr.run("resume")
	tr.run("resume", "--env", "prod", "--reason", "over")
	tr.run("unpin", "app-00", "--env", "prod")
	tr.run("unmark-bad", "app-00", "main-1a2b3c7", "--reason", "it was the database")

	tr.note("A freeze, and what it does to an order.")
	tr.run("freeze", "--env", "prod", "--for", "4h", "--reason", "migration")
	tr.run("update", "app-00", "main-1a2b3c9", "--env", "prod", "--key", "r6", "--or-hold")
	tr.run("update", "app-00", "main-1a2b3ca", "--env", "prod", "--key", "r7", "--override", "it cannot wait", "--dry-run")
	tr.run("thaw", "--env", "dev")
	tr.run("thaw", "--env", "prod")
	tr.run("update", "app-00", "main-1a2b3c9", "--env", "prod", "--key", "r6", "--or-hold", "--wait")
	tr.run("stop", "--env", "prdo")
	tr.run("freezes")
	tr.run("history", "app-00", "--env", "prod")
	tr.run("audit", "-n", "100")
	tr.compare("holds.golden")
	out, _, _ := run(t, "holds", "--ended", "--kind", "pin") // how long ago is as wide as it is
	expect(t, "holds", out, " ago by ci: fixed ", "ci pinned main-1a2b3c4 until ", "ci pinned main-1a2b3c6 until ")
	s.must(c.stop())
}
