package gitops

import (
	"slices"
	"time"
)

// Terms are what a person's order asks for beside its tag. Its JSON form is the API's, and
// the stores'.
type Terms struct {
	Reason    string      `json:"reason,omitempty"`    // the person's, one line
	Passes    []BlockKind `json:"passes,omitempty"`    // the holds that it passes, by kind
	Override  string      `json:"override,omitempty"`  // why it passes them, for an order that is no rollback; or why a rollback passes a stop
	RollsBack string      `json:"rollsBack,omitempty"` // of a rollback: the tag that is left
	Reverts   string      `json:"reverts,omitempty"`   // of a revert: the id of the update whose rollout failed
	PinUntil  time.Time   `json:"pinUntil,omitzero"`   // UTC; the end of the pin that was placed with it
}

// Clone is a copy that shares nothing with t.
func (t *Terms) Clone() *Terms {
	if t == nil {
		return nil
	}
	c := *t
	c.Passes = slices.Clone(t.Passes)
	return &c
}

// passes are the kinds that an order may pass.
func (t *Terms) passes() []BlockKind {
	if t == nil {
		return nil
	}
	return t.Passes
}

// Passes are the kinds of blocks that may not keep the update from being written.
func (u Update) Passes() []BlockKind { return u.Terms.passes() }
