package gitops

import "strings"

// Action is what can happen to an update. With the state that the update is in it
// decides the next one; see [Next].
type Action string

const (
	ActionPropose   Action = "propose"   // a pull request with it is open
	ActionCommit    Action = "commit"    // its commit is on the branch
	ActionConfirm   Action = "confirm"   // the branch has its tag already; no commit
	ActionSupersede Action = "supersede" // a newer release of the same app took its place
	ActionFail      Action = "fail"      // its own fault
	ActionClose     Action = "close"     // a person closed its pull request
	ActionCancel    Action = "cancel"    // a person cancelled it, or its environment or app left the configuration
	ActionRetry     Action = "retry"     // a person wants it tried again
	ActionDismiss   Action = "dismiss"   // a person has seen the failure and wants nothing more of it
)

// Actions lists every [Action].
func Actions() []Action {
	return []Action{ActionPropose, ActionCommit, ActionConfirm, ActionSupersede, ActionFail, ActionClose, ActionCancel, ActionRetry, ActionDismiss}
}

// Edge is one row of the transition table: an update in the state From, to which
// the action happens, is in the state To afterwards.
type Edge struct {
	From   State
	Action Action
	To     State
}

// edges is the transition table: the one place that says how an update goes from
// state to state. Stores hold it as it is, in memory or as rows.
//
// A cancelled or superseded update, and one whose pull request was closed, becomes committed
// when its commit turns up on the branch: people reopen pull requests and merge them. The
// branch decides what is on it, and a record must not deny it.
var edges = []Edge{
	{Pending, ActionPropose, Proposed},
	{Pending, ActionCommit, Committed},
	{Pending, ActionConfirm, Unchanged},
	{Pending, ActionSupersede, Superseded},
	{Pending, ActionFail, Failed},
	{Pending, ActionClose, Closed},
	{Pending, ActionCancel, Cancelled},
	{Pending, ActionRetry, Pending}, // lifts what blocks it alone

	{Proposed, ActionCommit, Committed},
	{Proposed, ActionConfirm, Unchanged},
	{Proposed, ActionSupersede, Superseded},
	{Proposed, ActionFail, Failed},
	{Proposed, ActionClose, Closed},
	{Proposed, ActionCancel, Cancelled},

	{Superseded, ActionCommit, Committed},
	{Closed, ActionCommit, Committed},
	{Cancelled, ActionCommit, Committed},

	{Failed, ActionRetry, Pending},
	{Failed, ActionDismiss, Cancelled},
}

// Edges returns a copy of the transition table, for a store that holds it as rows.
func Edges() []Edge { return append([]Edge(nil), edges...) }

// Next returns the state that the action leaves an update in, and false when the
// table does not allow the action in that state.
func Next(from State, a Action) (to State, ok bool) {
	for _, e := range edges {
		if e.From == from && e.Action == a {
			return e.To, true
		}
	}
	return "", false
}

// NotPossible says that the table does not allow a person's action in the state that
// an update is in, and which it does.
func NotPossible(id string, state State, a Action) error {
	var possible []string
	for _, other := range []Action{ActionRetry, ActionCancel, ActionDismiss} {
		if _, ok := Next(state, other); ok {
			possible = append(possible, string(other))
		}
	}
	if len(possible) == 0 {
		return Errorf(Conflict, "update %s is %s: %s is not possible; order a new one where the tag is wanted", id, state, a)
	}
	return Errorf(Conflict, "update %s is %s: %s is not possible, only %s", id, state, a, strings.Join(possible, " or "))
}

// Transition says that an action happened to an update.
type Transition struct {
	Update string // its id
	Action Action
	Code   Code   // of the failure, with ActionFail
	Reason string // a sentence a person can act on; may be empty with ActionCommit
	Commit string // hexadecimal object name, with ActionCommit
	Actor  string // the person who asked for it; empty when tallyman did it by itself
	Found  *Found // of an update whose image was inspected, with ActionCommit and ActionConfirm
}
