package queuetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Restored fills a store whose lanes are given back clean, has it restored, and holds
// what is marked: what was open, also where nobody had ever claimed the lane, and what
// had failed and is retried, may have been pushed since; what comes later was not. What
// held holds on, and a hold that is placed later has an id that was never given. Images
// that were seen are still known, rollouts stand where they stood, and every poll begins with a first scan.
func Restored(t *testing.T, from Instance, restore func(entries []queue.Entry) Instance) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	accept := func(q queue.Queue, id, environment, app string) string {
		t.Helper()
		d, _, err := q.Accept(ctx, gitops.Delivery{Source: "github", ID: id, ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
			Updates: []gitops.Update{{Environment: environment, App: app, Tag: "main-1a2b3c4"}}})
		must(err)
		return d.Updates[0].ID
	}
	claim := func(q queue.Queue, environment string) queue.Lease {
		t.Helper()
		claimed, err := q.Claim(ctx, "holder", []string{environment}, time.Hour)
		must(err)
		if len(claimed) != 1 {
			t.Fatalf("the lease of %s was not given", environment)
		}
		return claimed[0]
	}

	q, err := from.Open(time.Now)
	must(err)
	marked := map[string]bool{accept(q, "1", "dev", "api"): true, accept(q, "2", "staging", "api"): true}
	failed := accept(q, "3", "dev", "web")
	marked[failed] = true
	l := claim(q, "dev")
	_, err = q.Report(ctx, l, queue.Report{Transitions: []gitops.Transition{{Update: failed, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such file"}}})
	must(err)
	must(q.Release(ctx, l, true))
	followed := someRollouts(t, q)
	holds, images := someHolds(t, q), someImages(t, q)
	must(q.SetCheckpoint(ctx, queue.PollCheckpoint+"r", "2026-11-27T12:00:00Z"))
	must(q.SetCheckpoint(ctx, "missed", "2026-11-27T12:00:00Z"))
	var entries []queue.Entry
	for e, err := range q.(queue.Exporter).Export(ctx) {
		must(err)
		entries = append(entries, e)
	}
	must(q.Close())

	q, err = restore(entries).Open(time.Now)
	must(err)
	defer func() { must(q.Close()) }()
	holds.check(t, q)
	images.check(t, q)
	followed.check(t, q)
	for name, want := range map[string]string{queue.PollCheckpoint + "r": "", "missed": "2026-11-27T12:00:00Z"} {
		if got, err := q.Checkpoint(ctx, name); err != nil || got != want {
			t.Errorf("checkpoint %s is %q, %v; want %q", name, got, err, want)
		}
	}
	marked[accept(q, "4", "dev", "new")] = false
	_, err = q.Decide(ctx, queue.Decision{Update: failed, Action: gitops.ActionRetry, Actor: "ann"})
	must(err)
	taken := 0
	for _, environment := range []string{"dev", "staging"} {
		found, err := q.Take(ctx, claim(q, environment), queue.TakeOptions{Limit: 10})
		must(err)
		taken += len(found)
		for _, u := range found {
			if u.MaybePushed != marked[u.ID] {
				t.Errorf("%s of %s is marked: %t", u.App, u.Environment, u.MaybePushed)
			}
		}
	}
	if taken != len(marked) {
		t.Errorf("%d updates were taken, of %d", taken, len(marked))
	}
}

// Each yields the entries.
func Each(entries []queue.Entry) func(yield func(queue.Entry, error) bool) {
	return func(yield func(queue.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// heldBefore is what a store said of its holds before it was restored.
type heldBefore struct {
	inForce, all []gitops.Hold
	revision     int64
}

// someImages records images, and accepts a version.
func someImages(t *testing.T, q queue.Queue) seenBefore {
	t.Helper()
	ann := gitops.DeliveryKey{Source: "api", ID: "1"}
	err := q.RecordImages(t.Context(), []gitops.SeenImage{
		{Repository: "r", Tag: "v1", Digest: digestA}, {Repository: "r", Tag: "v1", Digest: digestB, By: ann, Named: true}, {Repository: "r", Tag: "v2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	order := gitops.Delivery{
		Source: "github", ID: "versions", ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: "versions", App: "api", Tag: "1.2.3"}},
	}
	if _, _, err := q.Accept(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	before := imagesIn(t, q)
	if len(before.images) != 3 || before.heads[0].AcceptedVersion == "" {
		t.Fatalf("the store has %+v", before)
	}
	return before
}

// seenBefore is what a store said of images and versions before it was restored.
type seenBefore struct {
	images []gitops.SeenImage
	heads  []gitops.Head
}

func imagesIn(t *testing.T, q queue.Queue) (found seenBefore) {
	t.Helper()
	var err error
	if found.images, err = q.SeenImages(t.Context(), "r", []string{"v1", "v2", "v3"}); err != nil {
		t.Fatal(err)
	}
	if found.heads, err = q.Heads(t.Context(), "versions", []string{"api"}); err != nil {
		t.Fatal(err)
	}
	return found
}

// check holds a restored store to what it said before: a tag that was moved meanwhile is
// known to have been.
func (before seenBefore) check(t *testing.T, q queue.Queue) {
	t.Helper()
	if err := q.RecordImages(t.Context(), []gitops.SeenImage{{Repository: "r", Tag: "v1", Digest: "sha256:moved"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, imagesIn(t, q), cmp.AllowUnexported(seenBefore{})); diff != "" {
		t.Errorf("the images: -before +restored:\n%s", diff)
	}
}

// someHolds places two holds, and lifts one.
func someHolds(t *testing.T, q queue.Queue) heldBefore {
	t.Helper()
	placed, err := q.Place(t.Context(), queue.Placement{Key: "before", Holds: []gitops.Hold{stopOf("prod"), stopOf("staging", "qa")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Lift(t.Context(), queue.Lifting{IDs: []string{placed.Holds[0].ID}, Principal: "token:ops", Actor: "token:ops", Reason: "over"}); err != nil {
		t.Fatal(err)
	}
	before := holdsOf(t, q)
	if len(before.inForce) != 1 || len(before.all) != 2 {
		t.Fatalf("the store has %+v", before)
	}
	return before
}

func holdsOf(t *testing.T, q queue.Queue) (found heldBefore) {
	t.Helper()
	held, err := q.HoldsInForce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found.inForce, found.revision = held.Holds, held.Revision
	if found.all, _, err = q.HoldsListed(t.Context(), queue.HoldFilter{Ended: true}, queue.Page{Limit: 100}); err != nil {
		t.Fatal(err)
	}
	return found
}

// check holds a restored store to what it said before, and places a hold: what the store
// placed after the backup, and has forgotten, had other numbers.
func (before heldBefore) check(t *testing.T, q queue.Queue) {
	t.Helper()
	if diff := cmp.Diff(before, holdsOf(t, q), cmp.AllowUnexported(heldBefore{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the holds: -before +restored:\n%s", diff)
	}
	known, err := q.Place(t.Context(), queue.Placement{Key: "before", Holds: []gitops.Hold{stopOf("prod")}})
	if err != nil || !known.Duplicate || len(known.Holds) != 2 {
		t.Errorf("a request from before: %+v, %v", known, err)
	}
	began := time.Now().Add(-time.Minute).UnixMicro()
	placed, err := q.Place(t.Context(), queue.Placement{Holds: []gitops.Hold{stopOf("prod")}})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := q.HoldsRevision(t.Context())
	if number, _ := gitops.ParseHoldID(placed.Holds[0].ID); number <= queue.RestoredSkip || revision < began || err != nil {
		t.Errorf("the next hold is %s of revision %d, %v", placed.Holds[0].ID, revision, err)
	}
}
