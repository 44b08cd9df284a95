package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Reader answers questions. Safe for concurrent use. Blocks that have lifted are
// in no answer. A cursor that no store made is Invalid, and names the field
// "cursor".
type Reader interface {
	// Delivery returns one delivery with its updates in the order they were
	// planned, and its body.
	Delivery(ctx context.Context, key gitops.DeliveryKey) (gitops.Delivery, error)

	// Update returns one update with its steps.
	Update(ctx context.Context, id string) (gitops.Update, error)

	// Head returns what is known of an app in an environment; of one that nothing is
	// known of, a Head with the names alone.
	Head(ctx context.Context, environment, app string) (gitops.Head, error)

	// Heads returns the heads of apps of an environment, in their order. It is one read.
	Heads(ctx context.Context, environment string, apps []string) ([]gitops.Head, error)

	// Backlogs returns the backlog of every environment that has ever had an
	// update, in no particular order. It counts nothing, so it costs the same
	// however much waits. An update whose block has lifted counts as held until
	// something is reported of it.
	Backlogs(ctx context.Context) ([]Backlog, error)

	// Failures returns the apps, by environment and name, that have failed updates which
	// are not overtaken: what a person must fix. A failed update is overtaken when a
	// later one of its app in its environment is open or written. The cost depends on
	// how many apps have a failed update, not on how many updates failed and were
	// overtaken.
	Failures(ctx context.Context) ([]Failure, error)

	// Overtaken returns those of the ids that are failed updates and overtaken, each with
	// the id of the newest update that overtakes it.
	Overtaken(ctx context.Context, ids []string) (by map[string]string, err error)

	// Deliveries returns a page of deliveries with their updates, without bodies,
	// and the cursor of the next page, "" when there is none. What is accepted
	// between two calls neither moves nor repeats an entry.
	Deliveries(ctx context.Context, f DeliveryFilter, p Page) (found []gitops.Delivery, next string, err error)

	// Updates is the same for updates, without their steps.
	Updates(ctx context.Context, f UpdateFilter, p Page) (found []gitops.Update, next string, err error)
}

// Failure is what failed of an app in an environment and is not overtaken.
type Failure struct {
	Environment, App string
	Count            int
	Newest           string    // the id of the last accepted of them
	Oldest           time.Time // when the first accepted of them failed
}

// Page asks for one page of a list. Lists are newest first: in the reverse of the
// order in which deliveries were accepted, and of that in which their updates
// were planned.
type Page struct {
	Cursor string // where the last page ended, as it was given; "" begins with the newest
	Limit  int    // at most so many, fewer where deliveries have very many updates, or a scope is filtered; at least 1
}

// DeliveryFilter says which deliveries are meant; an empty field means any.
type DeliveryFilter struct {
	Source  string
	Outcome gitops.Outcome
	Within  *Scope // a delivery is in an area when one of its updates is, or the rejected order was for it
}

// UpdateFilter says which updates are meant; an empty field means any.
type UpdateFilter struct {
	Environment, App string
	State            gitops.State
	Within           *Scope
}

// ChangeFeed tells whoever follows along what happened. Safe for concurrent use.
type ChangeFeed interface {
	// Changes returns at most limit of the changes that came after the cursor, in
	// an order that every replica sees alike, with no change that could still
	// appear before one that was returned. A report that says the same as the one
	// before is no change. An empty cursor means from the first that is kept. A
	// cursor above all that the store ever gave out is Invalid, as one of a store
	// that lost its newest changes is: whoever follows starts again from Latest. As
	// long as there are more changes, it returns at least one.
	Changes(ctx context.Context, after string, limit int) ([]Change, error)

	// Latest is the cursor of the newest change, or one that all changes come after
	// when there is none.
	Latest(ctx context.Context) (cursor string, err error)

	// Changed returns a channel that is closed after the next change. It is a hint
	// as that of [Lanes.Wake]: who waits on it also looks from time to time.
	Changed() <-chan struct{}
}

// Change is one thing that happened: a delivery arrived, or its wait ended, or an update
// that was accepted before went on, or a hold was placed or lifted. Exactly one of Delivery,
// Update and Hold is set.
type Change struct {
	Cursor   string // what Changes is asked with to get all that came after it
	At       time.Time
	Delivery *gitops.Delivery // with its updates as they stand now, without its body
	// Update is as the change left it: state, code, reason, commit and attempts are
	// those of the step that the change is, and so are state and reason of its Rollout where
	// the step is of that. It is without its steps, blocks and MaybePushed, and its Proposal
	// and the rest of its Rollout are what is known by now.
	Update *gitops.Update
	// Rollout is set where the change is one of where Update stands in the cluster: Update
	// itself has been as it is since it was written.
	Rollout bool
	// Hold is as the change left it: placed, or lifted. The end of its time is no change.
	Hold *gitops.Hold
}

// Updates are those that the change is about: none of a hold.
func (c Change) Updates() []gitops.Update {
	switch {
	case c.Update != nil:
		return []gitops.Update{*c.Update}
	case c.Delivery != nil:
		return c.Delivery.Updates
	}
	return nil
}

// Matches reports whether a delivery is meant, apart from Within.
func (f DeliveryFilter) Matches(d gitops.Delivery) bool {
	return meant(f.Source, d.Source) && meant(f.Outcome, d.Outcome)
}

// Matches reports whether an update is meant, apart from Within.
func (f UpdateFilter) Matches(u gitops.Update) bool {
	return meant(f.Environment, u.Environment) && meant(f.App, u.App) && meant(f.State, u.State)
}
