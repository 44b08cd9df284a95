package branchtags

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func TestOnlyFilesThatChangedAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		ask := func(wantTags string, wantAsked int, wantReads ...string) api.BranchTags {
			t.Helper()
			found := c.BranchTags(t.Context(), time.Time{})
			if got := tags(found); got != wantTags || found.Problem != nil {
				t.Errorf("%s (%v), want %s", got, found.Problem, wantTags)
			}
			asked, reads := b.sinceLast()
			if diff := cmp.Diff(wantReads, reads); asked != wantAsked || diff != "" {
				t.Errorf("the git server was asked %d times, want %d; files read: %s", asked, wantAsked, diff)
			}
			return found
		}
		began := time.Now()
		first := ask("dev/api v1, dev/worker v1, prod/api v1", 1, "prod/api.yaml", "shared.yaml") // each once
		if !first.AsOf.Equal(began) {
			t.Errorf("as of %s, read at %s", first.AsOf, began)
		}

		b.push(map[string]string{"prod/api.yaml": "image: host/api:v2\n", "nobodys-own.yaml": "x: 2\n"})
		time.Sleep(3*time.Second - 1)
		ask("dev/api v1, dev/worker v1, prod/api v1", 0)
		time.Sleep(time.Nanosecond)
		ask("dev/api v1, dev/worker v1, prod/api v2", 1, "prod/api.yaml")

		time.Sleep(3 * time.Second)
		same := ask("dev/api v1, dev/worker v1, prod/api v2", 1)
		if !same.AsOf.Equal(time.Now()) {
			t.Errorf("nothing changed: as of %s", same.AsOf)
		}

		b.push(map[string]string{"shared.yaml": "api: {tag: v1}\nworker: {tog: v2}\n"})
		delete(b.files, "prod/api.yaml")
		time.Sleep(3 * time.Second)
		broken := c.BranchTags(t.Context(), time.Time{})
		if diff := cmp.Diff(api.App{App: "api", File: "shared.yaml", Tag: "v1"}, broken.Apps["dev"][0]); diff != "" {
			t.Error(diff)
		}
		for want, a := range map[string]api.App{".worker.tag: ": broken.Apps["dev"][1], "the branch has no file prod/api.yaml": broken.Apps["prod"][0]} {
			if a.Tag != "" || !strings.HasPrefix(a.Problem, want) {
				t.Errorf("%+v, want the problem %q", a, want)
			}
		}
		b.sinceLast()
		b.push(map[string]string{"shared.yaml": "api: {tag: v3}\nworker: {tag: v3}\n", "prod/api.yaml": "image: host/api:v3\n"})
		time.Sleep(3 * time.Second)
		ask("dev/api v3, dev/worker v3, prod/api v3", 1, "prod/api.yaml", "shared.yaml")
		if got := tags(first); got != "dev/api v1, dev/worker v1, prod/api v1" {
			t.Errorf("an answer of before became %s", got)
		}
	})
}

// What the guard does not let through is looked at again each time, and holds up nothing
// else; a store that is away is the end of the look.
func TestFilesThatAreSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		b.refused = map[string]error{"prod/api.yaml": gitops.Errorf(gitops.Rejected, "prod/api.yaml is set aside")}
		if got := tags(c.BranchTags(t.Context(), time.Time{})); got != "dev/api v1, dev/worker v1, prod/api prod/api.yaml is set aside" {
			t.Error(got)
		}
		delete(b.refused, "prod/api.yaml")
		time.Sleep(3 * time.Second)
		if got := tags(c.BranchTags(t.Context(), time.Time{})); got != "dev/api v1, dev/worker v1, prod/api v1" {
			t.Error(got)
		}
		b.push(map[string]string{"shared.yaml": "api: {tag: v2}\nworker: {tag: v2}\n", "prod/api.yaml": "image: host/api:v2\n"})
		b.refused["shared.yaml"] = gitops.Errorf(gitops.Unavailable, "the store is away")
		time.Sleep(3 * time.Second)
		if found := c.BranchTags(t.Context(), time.Time{}); found.Problem == nil || tags(found) != "dev/api v1, dev/worker v1, prod/api v1" {
			t.Errorf("%s, %v", tags(found), found.Problem)
		}
		delete(b.refused, "shared.yaml")
		b.unknown = true // and all files are read
		time.Sleep(3 * time.Second)
		if found := c.BranchTags(t.Context(), time.Time{}); found.Problem != nil || tags(found) != "dev/api v2, dev/worker v2, prod/api v2" {
			t.Errorf("%s, %v", tags(found), found.Problem)
		}
	})
}

// A view may be as old as tags may be, and says so: then it is looked at again when it
// is too old, and not 3 seconds after it was made.
func TestTagsOfAViewThatIsNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		b.old = 2 * time.Second
		asOf := time.Now().Add(-b.old)
		for _, wait := range []time.Duration{0, time.Second - 1} {
			time.Sleep(wait)
			if found := c.BranchTags(t.Context(), time.Time{}); !found.AsOf.Equal(asOf) {
				t.Errorf("as of %s, want %s", found.AsOf, asOf)
			}
		}
		time.Sleep(time.Nanosecond)
		if found := c.BranchTags(t.Context(), time.Time{}); !found.AsOf.Equal(asOf.Add(time.Second)) {
			t.Errorf("as of %s, a second after %s", found.AsOf, asOf)
		}
		if asked, _ := b.sinceLast(); asked != 2 {
			t.Errorf("%d views were made, want 2", asked)
		}
	})
}

// What was last read stays when the git server does not answer, and a server that
// asks to be left alone is left alone for as long as it says.
func TestAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		limited := *gitops.Errorf(gitops.RateLimited, "rate limited")
		limited.RetryAfter = time.Minute
		b.err = &limited
		if found := c.BranchTags(t.Context(), time.Time{}); found.Problem == nil || found.Problem.Code != gitops.RateLimited || len(found.Apps) != 0 || !found.AsOf.IsZero() {
			t.Errorf("%+v", found)
		}
		b.err = nil
		time.Sleep(time.Minute - 1)
		if found := c.BranchTags(t.Context(), time.Time{}); found.Problem == nil {
			t.Error("the server was asked before its time")
		}
		time.Sleep(time.Nanosecond)
		first := c.BranchTags(t.Context(), time.Time{})
		if first.Problem != nil || len(first.Apps) != 2 {
			t.Errorf("%+v", first)
		}

		b.hold = make(chan struct{})
		time.Sleep(3 * time.Second)
		began := time.Now()
		away := c.BranchTags(t.Context(), time.Time{})
		if took := time.Since(began); took != viewWithin || away.Problem == nil || away.Problem.Code != gitops.Unavailable {
			t.Errorf("after %s: %v", took, away.Problem)
		}
		if diff := cmp.Diff(first.Apps, away.Apps); diff != "" || !away.AsOf.Equal(first.AsOf) {
			t.Errorf("as of %s: %s", away.AsOf, diff)
		}
	})
}

// However many ask at once, the git server is asked once; who cannot wait gets the
// answer of before.
func TestManyAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, c := site(t)
		b.hold = make(chan struct{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if found := c.BranchTags(t.Context(), time.Time{}); len(found.Apps) != 2 {
					t.Errorf("%+v", found)
				}
			})
		}
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		leave()
		if found := c.BranchTags(gone, time.Time{}); len(found.Apps) != 0 {
			t.Errorf("an answer before there was one: %+v", found)
		}
		close(b.hold)
		all.Wait()
		if asked, _ := b.sinceLast(); asked != 1 {
			t.Errorf("the git server was asked %d times", asked)
		}
	})
}
