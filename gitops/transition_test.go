package gitops_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestTransitionTable has the table a second time, as a matrix that a person wrote:
// a row for each state, a column for each action.
func TestTransitionTable(t *testing.T) {
	const none = ""
	matrix := map[gitops.State]map[gitops.Action]gitops.State{
		"pending": {
			"propose": "proposed", "commit": "committed", "confirm": "unchanged", "supersede": "superseded", "fail": "failed",
			"close": "closed", "cancel": "cancelled", "retry": "pending", "dismiss": none,
		},
		"proposed": {
			"propose": none, "commit": "committed", "confirm": "unchanged", "supersede": "superseded", "fail": "failed",
			"close": "closed", "cancel": "cancelled", "retry": none, "dismiss": none,
		},
		"committed": {
			"propose": none, "commit": none, "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": none, "dismiss": none,
		},
		"unchanged": {
			"propose": none, "commit": none, "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": none, "dismiss": none,
		},
		"superseded": {
			"propose": none, "commit": "committed", "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": none, "dismiss": none,
		},
		"failed": {
			"propose": none, "commit": none, "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": "pending", "dismiss": "cancelled",
		},
		"closed": {
			"propose": none, "commit": "committed", "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": none, "dismiss": none,
		},
		"cancelled": {
			"propose": none, "commit": "committed", "confirm": none, "supersede": none, "fail": none,
			"close": none, "cancel": none, "retry": none, "dismiss": none,
		},
	}
	if len(matrix) != len(gitops.States()) {
		t.Errorf("the matrix has %d states; there are %d", len(matrix), len(gitops.States()))
	}
	allowed := 0
	for _, from := range gitops.States() {
		if len(matrix[from]) != len(gitops.Actions()) {
			t.Errorf("the matrix has %d actions in the state %s; there are %d", len(matrix[from]), from, len(gitops.Actions()))
		}
		for _, a := range gitops.Actions() {
			want := matrix[from][a]
			if to, ok := gitops.Next(from, a); to != want || ok != (want != none) {
				t.Errorf("%s, %s: %q, %t; want %q", from, a, to, ok, want)
			}
			if want != none {
				allowed++
			}
		}
	}
	if edges := gitops.Edges(); len(edges) != allowed {
		t.Errorf("the table has %d rows; the matrix allows %d", len(edges), allowed)
	}
	for _, a := range []gitops.Action{"", "nothing"} {
		if to, ok := gitops.Next(gitops.Pending, a); to != "" || ok {
			t.Errorf("the action %q leads from pending to %q", a, to)
		}
	}
}

// A store reads the table once; what it does to its copy changes nothing.
func TestEdgesIsACopy(t *testing.T) {
	changed := gitops.Edges()
	want := gitops.Edges()
	clear(changed)
	if diff := cmp.Diff(want, gitops.Edges()); diff != "" {
		t.Errorf("the table follows its copy:\n%s", diff)
	}
}

// The names are the API's.
func TestStates(t *testing.T) {
	written := []gitops.State{"committed", "unchanged"}
	final := append(written, "superseded", "failed", "closed", "cancelled")
	if diff := cmp.Diff(append([]gitops.State{"pending", "proposed"}, final...), gitops.States()); diff != "" {
		t.Error(diff)
	}
	for _, s := range gitops.States() {
		if s.Final() != slices.Contains(final, s) || s.Written() != slices.Contains(written, s) {
			t.Errorf("%s: final is %t, written is %t", s, s.Final(), s.Written())
		}
	}
}

func TestNotPossible(t *testing.T) {
	for _, c := range []struct {
		state  gitops.State
		action gitops.Action
		says   string
	}{
		{gitops.Pending, gitops.ActionDismiss, "update u1 is pending: dismiss is not possible, only retry or cancel"},
		{gitops.Proposed, gitops.ActionRetry, "update u1 is proposed: retry is not possible, only cancel"},
		{gitops.Failed, gitops.ActionCancel, "update u1 is failed: cancel is not possible, only retry or dismiss"},
		{gitops.Committed, gitops.ActionRetry, "update u1 is committed: retry is not possible; order a new one where the tag is wanted"},
	} {
		err := gitops.NotPossible("u1", c.state, c.action)
		if gitops.CodeOf(err) != gitops.Conflict || gitops.PublicOf(err) != c.says {
			t.Errorf("%s in %s: %v", c.action, c.state, err)
		}
	}
}
