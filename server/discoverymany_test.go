package server

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// Two replicas of one store see different tips: the one that has the lanes does not know
// an app yet. It leaves the app's update alone, writes the others, and writes this one when
// it has looked, too.
func TestReplicasSeeDifferentTips(t *testing.T) {
	s := branchSite(t)
	s.edit("sqlite://"+s.dir+"/tallyman.db", postgrestest.Start(t, "fsync=off").Schema(t))
	behind := s.watch() // claims the lanes
	behind.reaches("1", "api", "dev", "main-1a2b3c4")
	ahead := s.watch()
	s.commit(valuesOf("cart", "dev"))
	ahead.look()
	waits := ahead.orders("2", "cart", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted)
	ahead.reaches("3", "worker", "dev", "main-1a2b3c4")
	if u, err := ahead.store.Update(t.Context(), waits.Updates[0].ID); err != nil || u.State != gitops.Pending {
		t.Fatalf("%+v, %v", u, err)
	}
	behind.look()
	if u := ahead.settled(waits.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("it is %s: %s", u.State, u.Reason)
	}
}

// 5,000 apps are known with the first look, and 100 more with the next: what was known is
// not found again.
func TestFiveThousandApps(t *testing.T) {
	s := branchSite(t)
	apps := func(from, to int) map[string]string {
		files := make(map[string]string)
		for n := from; n < to; n++ {
			maps.Copy(files, valuesOf(fmt.Sprintf("app-%05d", n), "dev"))
		}
		return files
	}
	s.commit(apps(0, 5_000))
	began := time.Now()
	l := s.watch()
	t.Logf("5,000 apps are known after %s", time.Since(began))
	if n := len(l.current().known().Apps()); n != 5_002 {
		t.Fatalf("%d apps are known", n)
	}
	first, _ := l.current().known().Target("dev", "app-00000")
	s.commit(apps(5_000, 5_100))
	began = time.Now()
	l.look()
	t.Logf("100 more are known after %s", time.Since(began))
	again, known := l.current().known().Target("dev", "app-00000")
	if n := len(l.current().known().Apps()); n != 5_102 || !known || again.Files[0].Edit != first.Files[0].Edit {
		t.Fatalf("%d apps are known, or the edit was compiled again", n)
	}
	l.reaches("1", "app-05099", "dev", "main-1a2b3c4")
}

// A reload while a branch is looked at: what was found stays known, what the new
// configuration looks for is found at once, and streams of what did not change go on.
func TestReloadWhileLooking(t *testing.T) {
	s := branchSite(t)
	s.commit(map[string]string{"services/dev/mail/release.yaml": "image: {tag: main-0000000}\n"})
	l := s.watch()
	hold, began := make(chan struct{}), make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.FetchRefs, Before: func() { close(began) }, Wait: hold})
	l.finder.ask()
	<-began
	s.edit("discover:\n", "discover:\n  - file: services/{env}/{app}/release.yaml\n")
	s.must(s.reload(l.running))
	if !l.current().known().Has("api") || l.current().known().Complete() {
		t.Error("what was found before is not known any more, or counts for the new configuration")
	}
	close(hold)
	for !l.current().known().Complete() {
		l.wait()
	}
	l.reaches("1", "mail", "dev", "main-1a2b3c4")
	l.reaches("2", "api", "dev", "main-1a2b3c4")
}
