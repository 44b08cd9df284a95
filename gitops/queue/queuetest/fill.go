package queuetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Fill has something of every kind in the store that the instance opens, and closes it.
// Whoever adds a table to a store adds here what fills it.
func Fill(t *testing.T, i Instance) {
	t.Helper()
	ctx := t.Context()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	fillSuspects(t, i, func() time.Time { return at })
	q, err := i.Open(func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.Suspects(ctx)
	errs := []error{err}
	accept := func(id, app string) gitops.Update {
		d, _, err := q.Accept(ctx, gitops.Delivery{
			Source: "github", ID: id, ReceivedAt: at, Outcome: gitops.OutcomeAccepted, Body: []byte(id), BodyDigest: []byte("digest of a body of 32 bytes, " + id[:2]),
			Updates: []gitops.Update{{Environment: "dev", App: app, Tag: "1.2.3"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return d.Updates[0]
	}
	pruned, committed, waits := accept("pruned", "api"), accept("committed", "web"), accept("waits", "db")
	claimed, err := q.Claim(ctx, "one", []string{"dev", "job/missed"}, 1000*time.Hour)
	if err != nil || len(claimed) != 2 {
		t.Fatalf("%+v, %v", claimed, err)
	}
	report := func(u gitops.Update, o *queue.Outage) {
		commit := gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: "c0ffee", Found: &gitops.Found{Digest: digestA, At: at}}
		known := queue.Proposed{Update: u.ID, Proposal: gitops.Proposal{Number: 7, OpenedAt: at}}
		_, err := q.Report(ctx, claimed[0], queue.Report{Transitions: []gitops.Transition{commit}, Proposals: []queue.Proposed{known}, Outage: o})
		errs = append(errs, err)
	}
	report(pruned, nil)
	at = at.Add(time.Hour)
	report(committed, &queue.Outage{Code: gitops.Unavailable, Reason: "the git server is away"})
	_, err = q.Prune(ctx, at, 100)
	errs = append(errs, err, q.SetCheckpoint(ctx, "sweep", "7"), q.UseOnce(ctx, "token", waits.Delivery, at.Add(time.Hour)))
	_, err = q.Decide(ctx, queue.Decision{Update: waits.ID, Action: gitops.ActionCancel, Actor: "ann", Reason: "wrong"})
	errs = append(errs, err)
	placed, err := q.Place(ctx, queue.Placement{Key: "stop", Holds: []gitops.Hold{stopOf("dev"), stopOf("prod")}})
	if err != nil || len(placed.Holds) != 2 {
		t.Fatalf("%+v, %v", placed, err)
	}
	_, err = q.Lift(ctx, queue.Lifting{IDs: []string{placed.Holds[0].ID}, Principal: "token:ops", Actor: "token:ops"})
	errs = append(errs, err)
	_, err = q.ProofKeys(ctx)
	if err := errors.Join(append(errs, err, q.Ping(ctx), q.Close())...); err != nil {
		t.Fatal(err)
	}
}

// fillSuspects leaves the note of a process that ended while it parsed a file.
func fillSuspects(t *testing.T, i Instance, now func() time.Time) {
	t.Helper()
	q, err := i.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.BeginParsing(t.Context(), "one", objectsOf("a"), 1)
	if err := errors.Join(err, q.Close()); err != nil {
		t.Fatal(err)
	}
}
