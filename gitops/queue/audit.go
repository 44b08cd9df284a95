package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MemoryFor is how long the audit, and what is known of deliveries beyond their
// details, are kept at least: 400 days, a year and a month to look at it.
const MemoryFor = 400 * 24 * time.Hour

// Audit is the record of who did what. Entries are only added: the stores refuse to
// change one, and to delete one that is not older than [MemoryFor]. Safe for
// concurrent use.
//
// Accept, Decide, Place and Lift write their entries in their own transactions: there is
// no accepted update, no decision and no hold without its entry, whenever the process
// dies. An update has one entry however often its delivery is sent, also when it was
// superseded on arrival; what changes nothing has none. A hold has one for each
// environment that it names, without an app unless it is of one alone.
type Audit interface {
	// AppendAudit adds entries, all or none. The store sets their sequence, and their
	// time where it is zero. An entry with an app has an environment.
	AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error

	// AuditEntries returns a page of entries, newest first, and the cursor of the next
	// page, "" when there is none. A page is shorter than its limit, or empty, where
	// many entries had to be looked at for it.
	AuditEntries(ctx context.Context, f AuditFilter, p Page) (found []gitops.AuditEntry, next string, err error)
}

// AuditFilter says which entries are meant; an empty field means any.
type AuditFilter struct {
	Environment, App string
	Principal, Actor string
	Act              gitops.Act
	Since, Until     time.Time // at or after the one, before the other
	Within           *Scope    // entries without an environment are in no area
}

// Matches reports whether an entry is meant, apart from Within.
func (f AuditFilter) Matches(e gitops.AuditEntry) bool {
	return meant(f.Environment, e.Environment) && meant(f.App, e.App) && meant(f.Principal, e.Principal) && meant(f.Actor, e.Actor) &&
		meant(f.Act, e.Act) && (f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until))
}

func meant[T ~string](filter, value T) bool { return filter == "" || filter == value }

// OrderEntry is the audit's entry of an update of the delivery d, as it was accepted.
func OrderEntry(d gitops.Delivery, u gitops.Update) gitops.AuditEntry {
	e := gitops.AuditEntry{
		At: u.AcceptedAt, Act: gitops.ActOrder, Principal: d.Principal, Actor: d.Actor, Credential: d.Credential, Remote: d.Remote,
		Right: gitops.RightOrder, Rule: u.Rule, Environment: u.Environment, App: u.App, Update: u.ID, Delivery: d.Key().String(),
		After: Image(u.Tag, u.Digest), Config: d.Config,
	}
	if u.Terms != nil {
		e.Reason = u.Terms.Reason
	}
	return e
}

// Image is a tag with its digest, if it has one: "v1", "v1@sha256:...".
func Image(tag, digest string) string {
	if digest == "" {
		return tag
	}
	return tag + "@" + digest
}

// DecisionEntry is the audit's entry of a decision about an update that was in one
// state and is in another.
func DecisionEntry(d Decision, u gitops.Update, before, after gitops.State) gitops.AuditEntry {
	e := gitops.AuditEntry{
		Act: gitops.Act(d.Action), Principal: d.Principal, Actor: d.Actor, Credential: d.Credential, Remote: d.Remote,
		Right: gitops.RightCancel, Rule: d.Rule, Environment: u.Environment, App: u.App, Update: u.ID, Delivery: u.Delivery.String(),
		Reason: d.Reason, Before: string(before), After: string(after), Config: d.Config,
	}
	switch d.Action {
	case gitops.ActionRetry:
		e.Right = gitops.RightRetry
	case gitops.ActionCancel:
		e.After = "cancellation requested"
	}
	return e
}
