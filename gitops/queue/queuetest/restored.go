package queuetest

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Restored fills a store whose lanes are given back clean, has it restored, and holds
// what is marked: what was open, also where nobody had ever claimed the lane, and what
// had failed and is retried, may have been pushed since; what comes later was not.
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
	var entries []queue.Entry
	for e, err := range q.(queue.Exporter).Export(ctx) {
		must(err)
		entries = append(entries, e)
	}
	must(q.Close())

	q, err = restore(entries).Open(time.Now)
	must(err)
	defer func() { must(q.Close()) }()
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
