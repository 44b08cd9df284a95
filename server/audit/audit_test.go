package audit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// away is a store that can be away.
type away struct {
	*queuetest.Model
	failing atomic.Bool
	applied atomic.Bool // what fails is written nevertheless
}

func (a *away) AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error {
	if !a.failing.Load() {
		return a.Model.AppendAudit(ctx, entries)
	}
	if a.applied.Load() {
		_ = a.Model.AppendAudit(ctx, entries)
	}
	return gitops.Errorf(gitops.Unavailable, "the store is away")
}

type counter struct{ atomic.Int64 }

func (c *counter) Inc() { c.Add(1) }

// room is a recorder and its store, on a clock that moves only when all sleep.
type room struct {
	t     *testing.T
	store *away
	lost  *counter
	log   strings.Builder
	*Recorder
}

func inRoom(t *testing.T, script func(r *room)) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{t: t, store: &away{Model: queuetest.NewModel(time.Now, queuetest.Hooks{})}, lost: &counter{}}
		r.Recorder = New(Config{Logger: slog.New(slog.NewTextHandler(&r.log, nil)), Lost: r.lost, Now: time.Now, Hash: "c0ffee"})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx, r.store) })
		script(r)
		stop()
		running.Wait()
	})
}

// entries are what the store has, newest first.
func (r *room) entries() []gitops.AuditEntry {
	r.t.Helper()
	synctest.Wait()
	found, _, err := r.store.AuditEntries(r.t.Context(), queue.AuditFilter{}, queue.Page{Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func (r *room) refuse(principal string, n int) {
	for i := range n {
		r.Refused(gitops.AuditEntry{Principal: principal, Actor: principal, Environment: "prod", App: "api", Right: gitops.RightOrder, Reason: fmt.Sprint("no rule ", i)})
	}
}

func TestRefusalsAreWritten(t *testing.T) {
	inRoom(t, func(r *room) {
		r.refuse("token:ci", 1)
		r.Replaced("sources.github.secretFiles[0]")
		all := r.entries()
		if len(all) != 2 || all[1].Act != gitops.ActRefuse || all[1].Config != "c0ffee" || all[1].At.IsZero() || all[1].Environment != "prod" {
			t.Fatalf("written are %+v", all)
		}
		if all[0].Act != gitops.ActSecret || all[0].Reason != "sources.github.secretFiles[0] was replaced" {
			t.Errorf("the secret's entry is %+v", all[0])
		}
	})
}

// TestRefusalsAreBounded has one principal refused again and again, and another once.
func TestRefusalsAreBounded(t *testing.T) {
	inRoom(t, func(r *room) {
		r.refuse("token:ci", maxRefusals+40)
		r.refuse("token:ops", 1)
		if n := len(r.entries()); n != maxRefusals+1 {
			t.Fatalf("%d entries; want %d", n, maxRefusals+1)
		}
		time.Sleep(refusalsEvery + time.Minute)
		all := r.entries()
		if len(all) != maxRefusals+2 || !strings.HasPrefix(all[0].Reason, "40 more refusals in an hour are not written down; the last one: no rule 99") || all[0].Principal != "token:ci" {
			t.Fatalf("after an hour there are %d entries, the last is %+v", len(all), all[0])
		}
		r.refuse("token:ci", 1)
		if n := len(r.entries()); n != maxRefusals+3 {
			t.Errorf("in the next hour there are %d entries", n)
		}
	})
}

// TestPrincipalsAreBounded has more principals than are counted.
func TestPrincipalsAreBounded(t *testing.T) {
	r := New(Config{Logger: slog.New(slog.DiscardHandler), Lost: &counter{}, Now: time.Now})
	for i := range 3 * maxPrincipals {
		r.Refused(gitops.AuditEntry{Principal: fmt.Sprint("token:", i)})
	}
	if n := len(r.refused); n > maxPrincipals+1 {
		t.Errorf("%d principals are counted", n)
	}
	if n := len(r.waiting); n > queued {
		t.Errorf("%d entries wait", n)
	}
}

// TestWhatIsLeftIsWrittenAtTheEnd stops while refusals are counted only.
func TestWhatIsLeftIsWrittenAtTheEnd(t *testing.T) {
	var r *room
	inRoom(t, func(inner *room) {
		r = inner
		r.refuse("token:ci", maxRefusals+1)
	})
	found, _, err := r.store.AuditEntries(context.Background(), queue.AuditFilter{}, queue.Page{Limit: 1000})
	if err != nil || len(found) != maxRefusals+1 || !strings.HasPrefix(found[0].Reason, "1 more") {
		t.Errorf("%d entries, the last %+v, %v", len(found), found[0], err)
	}
}

// TestStoreAway fails each append twice: failed and not applied, and failed but
// applied. Nothing that waits is lost, what is beyond the queue is counted.
func TestStoreAway(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			inRoom(t, func(r *room) {
				r.store.applied.Store(applied)
				r.store.failing.Store(true)
				for i := range queued + 7 {
					r.Replaced(fmt.Sprint("field ", i))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := r.lost.Load(); n != 7 {
					t.Errorf("%d are lost; want 7", n)
				}
				if n := strings.Count(r.log.String(), "audit entries are lost"); n != 1 {
					t.Errorf("the log says %d times that entries are lost", n)
				}
				r.store.failing.Store(false)
				time.Sleep(time.Minute)
				written := make(map[string]bool)
				for _, e := range r.entries() {
					written[e.Reason] = true
				}
				if len(written) != queued {
					t.Errorf("%d different entries are written; want %d", len(written), queued)
				}
			})
		})
	}
}

// TestConfigurationChanged puts one configuration after another in force.
func TestConfigurationChanged(t *testing.T) {
	inRoom(t, func(r *room) {
		configure := func(hash string, parts map[string]string, want int) gitops.AuditEntry {
			t.Helper()
			r.Configured(Configuration{hash, parts})
			all := r.entries()
			if len(all) != want {
				t.Fatalf("%d entries; want %d", len(all), want)
			}
			return all[0]
		}
		configure("1", map[string]string{"access[0]": "a", "listen": "x"}, 1)
		configure("1", map[string]string{"access[0]": "a", "listen": "x"}, 1)
		e := configure("2", map[string]string{"access[0]": "b", "listen": "x", "environments.prod": "p"}, 2)
		if e.Act != gitops.ActConfig || e.Before != "1" || e.After != "2" || e.Config != "2" || e.Reason != "access[0] changed, environments.prod added" {
			t.Errorf("the entry is %+v", e)
		}
		e = configure("3", map[string]string{"access[0]": "b", "environments.prod": "p"}, 3)
		if e.Reason != "listen removed" {
			t.Errorf("the entry is %+v", e)
		}
	})
}

// TestConfigurationsWait puts configurations in force while the store is away: each has its
// entry when it is back, or where there are too many, the last has all changes.
func TestConfigurationsWait(t *testing.T) {
	inRoom(t, func(r *room) {
		r.store.failing.Store(true)
		for _, hash := range []string{"1", "2", "1"} {
			r.Configured(Configuration{hash, map[string]string{"access[0]": hash}})
		}
		if n := len(r.entries()); n > 0 {
			t.Errorf("%d entries in a store that is away", n)
		}
		r.store.failing.Store(false)
		time.Sleep(time.Minute)
		all := r.entries()
		if len(all) != 3 || all[0].Before != "2" || all[0].After != "1" {
			t.Fatalf("the entries are %+v", all)
		}
		r.store.failing.Store(true)
		for i := range 3 * maxConfigurations {
			r.Configured(Configuration{fmt.Sprint("n", i), map[string]string{"access[0]": fmt.Sprint(i)}})
		}
		r.store.failing.Store(false)
		time.Sleep(time.Minute)
		all = r.entries()
		if last := fmt.Sprint("n", 3*maxConfigurations-1); len(all) != 3+maxConfigurations || all[0].After != last {
			t.Errorf("%d entries, the last to %s", len(all), all[0].After)
		}
	})
}
