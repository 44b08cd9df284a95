package manifest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// rejectPaths has the server reject every push that changes a file whose path
// matches, with these words.
func (o *origin) rejectPaths(pattern, words string) {
	o.Helper()
	script := `read old new ref; if git diff --name-only $old $new | grep -qE '` + pattern + `'; then echo "` + words + `" >&2; exit 1; fi`
	if err := o.repo.Hook("pre-receive", script); err != nil {
		o.Fatal(err)
	}
}

// many adds so many apps to the environment, and returns an update of each.
func (o *origin) many(environment string, apps int) (updates []gitops.Update) {
	o.Helper()
	change := gitserver.Change{Files: make(map[string]string)}
	for n := range apps {
		app := fmt.Sprintf("app-%02d", n)
		change.Files[testFile(environment, app)] = valuesFile(app, environment, "none")
		updates = append(updates, o.update(environment, app, "main-0000001"))
	}
	o.commit(change)
	return updates
}

func (o *origin) pushes() int { return o.server.Counts().Requests[gitserver.Push] }

// One update that the server does not take holds up none of the forty others.
func TestARefusedUpdateHoldsUpNoOther(t *testing.T) { overEach(t, testARefusedUpdateHoldsUpNoOther) }

func testARefusedUpdateHoldsUpNoOther(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	updates := o.many("dev", 41)
	o.rejectPaths("app-17", "GH013: only @owners may change this file, request $$")
	w := o.writer()
	r, err := w.Write(t.Context(), tasksOf(updates))
	if err != nil || len(r.Transitions) != 40 || len(r.Refused) != 1 {
		t.Fatalf("%d landed, refused %+v, %v", len(r.Transitions), r.Refused, err)
	}
	no := r.Refused[0]
	if no.Update != updates[17].ID || no.Code != gitops.Rejected || !strings.Contains(no.Reason, "only @owners may change this file") {
		t.Errorf("refused is %+v", no)
	}
	if n := o.pushes(); n > 16 {
		t.Errorf("%d pushes to find one of 41", n)
	}
	o.check(r.Transitions...)
	if err := o.repo.Hook("pre-receive", ""); err != nil {
		t.Fatal(err)
	}
	o.check(o.write(w, updates[17])...)
}

// Two rules against two parts of the batch, and each is told its own.
func TestSeveralRefusedUpdates(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", 30)
	if err := o.repo.Hook("pre-receive", `read old new ref
		for f in $(git diff --name-only $old $new); do case $f in *app-0[37]*) echo "frozen: $f" >&2; exit 1;; *app-2[01]*) echo "no entry: $f" >&2; exit 1;; esac; done`); err != nil {
		t.Fatal(err)
	}
	r, err := o.writer().Write(t.Context(), tasksOf(updates))
	if err != nil || len(r.Transitions) != 26 || len(r.Refused) != 4 {
		t.Fatalf("%d landed, refused %+v, %v", len(r.Transitions), r.Refused, err)
	}
	for i, want := range []struct {
		at    int
		words string
	}{{3, "frozen: charts/app-03"}, {7, "frozen: charts/app-07"}, {20, "no entry: charts/app-20"}, {21, "no entry: charts/app-21"}} {
		if no := r.Refused[i]; no.Update != updates[want.at].ID || !strings.Contains(no.Reason, want.words) {
			t.Errorf("refusal %d is %+v", i, no)
		}
	}
	o.check(r.Transitions...)
}

// A branch that takes nothing is one outage, not a refusal of each update.
func TestABranchThatTakesNothingIsAnOutage(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := append(o.many("dev", 20), o.update("prod", "shop", "v1.0.0"))
	o.rejectPaths(".", "GH006: Protected branch update failed, request $$ at $(date)")
	w := o.writer()
	for range 2 {
		before := o.pushes()
		r, err := w.Write(t.Context(), tasksOf(updates))
		if gitops.CodeOf(err) != gitops.Rejected || len(r.Transitions)+len(r.Refused) != 0 || !strings.Contains(gitops.PublicOf(err), "Protected branch update failed") {
			t.Fatalf("got %+v and %v, want an outage", r, err)
		}
		if n := o.pushes() - before; n > 1+samples {
			t.Errorf("%d pushes to a branch that takes none", n)
		}
	}
	if err := o.repo.Hook("pre-receive", ""); err != nil {
		t.Fatal(err)
	}
	o.check(o.write(w, updates...)...)
}

// An update that is refused when there is no other to compare it with waits alone; a
// second app that meets the same makes it an outage of the environment.
func TestOneAppAfterTheOther(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.rejectPaths("values-prod", "prod is frozen")
	w := o.writer()
	one, two := o.update("prod", "shop", "v1.0.0"), o.update("prod", "cart", "v1.0.0")
	alone := func(u gitops.Update) {
		t.Helper()
		if r, err := w.Write(t.Context(), tasksOf([]gitops.Update{u})); err != nil || len(r.Refused) != 1 {
			t.Fatalf("got %+v and %v, want a refusal", r, err)
		}
	}
	alone(one)
	alone(one)
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if r, err := w.Write(t.Context(), tasksOf([]gitops.Update{two})); gitops.CodeOf(err) != gitops.Rejected || len(r.Refused) != 0 {
		t.Fatalf("got %+v and %v, want an outage of prod", r, err)
	}
	o.rejectPaths("shop/values-prod", "prod is frozen")
	o.check(o.write(w, two)...)
	alone(one)
}

// Of one app the updates are told apart, too, and keep their order.
func TestARefusedUpdateHoldsUpNoLaterOneOfItsApp(t *testing.T) {
	t.Parallel()
	for _, commits := range []string{"", "dev"} {
		o := newOrigin(t)
		if err := o.repo.Hook("pre-receive", `read old new ref; if git log -p --format= $old..$new | grep -q '^+.*forbidden'; then echo "a forbidden tag" >&2; exit 1; fi`); err != nil {
			t.Fatal(err)
		}
		updates := []gitops.Update{
			o.update("dev", "shop", "main-1"), o.update("dev", "cart", "main-1"), o.update("dev", "shop", "forbidden"),
			o.update("dev", "shop", "main-3"), o.update("dev", "mail", "main-1"), o.update("dev", "shop", "main-4"),
		}
		r, err := o.writer(squashing(commits)).Write(t.Context(), tasksOf(updates))
		if commits == "dev" { // the squash does not show it
			if err != nil || len(r.Transitions) != len(updates) {
				t.Errorf("a squash: %+v, %v", r, err)
			}
			continue
		}
		if err != nil || len(r.Refused) != 1 || r.Refused[0].Update != updates[2].ID || len(r.Transitions) != 5 {
			t.Fatalf("got %+v and %v", r, err)
		}
		o.check(r.Transitions...)
	}
}

// limited is a proxy that takes no request over a size.
type limited struct{ most int64 }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength > l.most {
		return &http.Response{StatusCode: http.StatusRequestEntityTooLarge, Body: io.NopCloser(strings.NewReader("too large")), Header: http.Header{}, Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestAPushThatIsTooLargeIsMadeSmaller(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", 24)
	large := o.update("dev", "shop", "main-"+strings.Repeat("x", 100))
	large.Delivery.ID = strings.Repeat("0123456789abcdef", 2000) // which does not compress to nothing in a commit of its own
	for n := range 200 {
		large.Delivery.ID += fmt.Sprintf("%x", n*n*7919)
	}
	o.updates[large.ID] = large
	updates = append(updates[:10:10], append([]gitops.Update{large}, updates[10:]...)...)
	w := o.writer(func(c *Config) { c.Transport = limited{1500} })
	r, err := w.Write(t.Context(), tasksOf(updates))
	if err != nil || len(r.Transitions) != 24 || len(r.Refused) != 1 {
		t.Fatalf("%d landed, refused %+v, %v", len(r.Transitions), r.Refused, err)
	}
	if no := r.Refused[0]; no.Update != large.ID || no.Code != gitops.TooLarge {
		t.Errorf("refused is %+v", no)
	}
	o.check(r.Transitions...)
}

// What a turn has no pushes left for is an outage, and goes on with the next call:
// each brings some onto the branch.
func TestATurnSpendsNoMorePushesThanItMay(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	updates := o.many("dev", 24)
	o.rejectPaths("app-(01|05|09|13|17|21)", "not this one")
	w := o.writer(func(c *Config) { c.Limits.RejectedPushes = 8 })
	refused := make(map[string]bool)
	var landed []gitops.Transition
	for calls := 1; len(updates) > 0; calls++ {
		if calls > 20 {
			t.Fatalf("%d updates are left after %d calls", len(updates), calls)
		}
		before := o.pushes()
		r, err := w.Write(t.Context(), tasksOf(updates))
		if n := o.pushes() - before; n > 9 {
			t.Fatalf("%d pushes in one turn", n)
		}
		if err != nil && gitops.CodeOf(err) != gitops.Rejected {
			t.Fatal(err)
		}
		known := make(map[string]bool)
		for _, tr := range r.Transitions {
			known[tr.Update] = true
		}
		for _, no := range r.Refused {
			known[no.Update], refused[no.Update] = true, true
		}
		landed = append(landed, r.Transitions...)
		var left []gitops.Update
		for _, u := range updates {
			if !known[u.ID] {
				left = append(left, u)
			}
		}
		updates = left
	}
	if len(refused) != 6 || len(landed) != 18 {
		t.Errorf("%d are refused and %d landed", len(refused), len(landed))
	}
	o.check(landed...)
}

// A plan and a turn that have no time left push what there is, and give the rest back.
func TestATurnEndsInTime(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(func(c *Config) { c.Limits.TurnTime, c.Limits.PlanTime = time.Nanosecond, time.Nanosecond })
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	var updates []gitops.Update
	for n := range 4 {
		updates = append(updates, o.update("dev", testApps[n], "main-0000001"))
	}
	o.check(o.write(w, updates...)...)
	if n := o.pushes(); n != len(updates) {
		t.Errorf("%d pushes, want one for each", n)
	}
}
