package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Check reports everything that is wrong with a placement by itself, as Invalid errors.
func (p Placement) Check(now time.Time) error {
	var problems []error
	if len(p.Holds) == 0 && p.Order == nil {
		problems = append(problems, gitops.Errorf(gitops.Invalid, "there is neither a hold nor an order to place"))
	}
	var alone []gitops.Hold // those of which one counts
	for _, h := range p.Holds {
		problems = append(problems, gitops.CheckHold(h, now))
		if slices.ContainsFunc(alone, h.Replaces) {
			problems = append(problems, gitops.Errorf(gitops.Invalid, "one placement has two holds where one counts: %s", holdLine(h)))
		}
		if h.Replaces(h) {
			alone = append(alone, h)
		}
	}
	if p.Order != nil && p.Order.Outcome != gitops.OutcomeAccepted {
		problems = append(problems, gitops.FieldErrorf("outcome", "must be accepted, not %s", p.Order.Outcome))
	}
	if p.Written != "" && (p.Order == nil || len(p.Order.Updates) != 1) {
		problems = append(problems, gitops.Errorf(gitops.Invalid, "what was last written is compared only with an order of one update"))
	}
	return errors.Join(problems...)
}

// CheckWritten fails when the head of the app that the order is of says that something
// else was written than the caller found.
func (p Placement) CheckWritten(h gitops.Head) error {
	if p.Written == "" || p.Written == h.WrittenID {
		return nil
	}
	return gitops.Errorf(gitops.Conflict, "%s was written in %s meanwhile, for %s (update %s): look again, and decide by that", h.WrittenTag, h.Environment, h.App, h.WrittenID)
}

// Request names the placement in the store: by the key of its order, or by its own. "" when
// it has neither.
func (p Placement) Request() string {
	switch {
	case p.Order != nil:
		return OrderRequest(p.Order.Key())
	case p.Key != "":
		return "key:" + p.Key
	}
	return ""
}

// OrderRequest is [Placement.Request] of an order's delivery.
func OrderRequest(key gitops.DeliveryKey) string { return "order:" + key.String() }

// ErrTooManyHolds is Place's error beyond [MaxHolds].
func ErrTooManyHolds() *gitops.Error {
	return gitops.Errorf(gitops.TooLarge, "%d holds are in force, and no more are placed: lift some, or place one for several apps", MaxHolds)
}

// ErrNoHold is Lift's error for an id that is not a hold's.
func ErrNoHold(id string) *gitops.Error {
	return gitops.Errorf(gitops.NotFound, "there is no hold %.40q", id)
}

// Replacing is the lifting of holds that are replaced by h, which has its id.
func (p Placement) Replacing(h gitops.Hold) Lifting {
	return Lifting{
		Principal: h.Principal, Actor: h.Actor, Reason: "replaced by " + h.ID, Rule: h.Rule,
		Credential: p.Credential, Remote: p.Remote, Config: p.Config,
	}
}

// HoldEntries are the audit's entries of a hold that was placed in the place of others:
// one for each environment that it names.
func (p Placement) HoldEntries(h gitops.Hold, replaced []gitops.Hold) []gitops.AuditEntry {
	var before []string
	for _, r := range replaced {
		before = append(before, holdLine(r))
	}
	return entriesOf(h, gitops.AuditEntry{
		Act: gitops.ActHold, Principal: h.Principal, Actor: h.Actor, Credential: p.Credential, Remote: p.Remote, Rule: h.Rule,
		Reason: h.Reason, Before: strings.Join(before, "; "), After: holdLine(h), Config: p.Config,
	})
}

// LiftEntries are the audit's entries of a hold that was lifted.
func (l Lifting) LiftEntries(h gitops.Hold) []gitops.AuditEntry {
	return entriesOf(h, gitops.AuditEntry{
		Act: gitops.ActLift, Principal: l.Principal, Actor: l.Actor, Credential: l.Credential, Remote: l.Remote, Rule: l.Rule,
		Reason: l.Reason, Before: holdLine(h), After: "lifted", Config: l.Config,
	})
}

// entriesOf are copies of an entry for the environments of a hold. An app is in them when
// the hold is of one alone.
func entriesOf(h gitops.Hold, e gitops.AuditEntry) (entries []gitops.AuditEntry) {
	e.Right = gitops.RightHold
	if h.Kind == gitops.HoldStop {
		e.Right = gitops.RightStop
	}
	if len(h.Environments) == 0 {
		return []gitops.AuditEntry{e}
	}
	if len(h.Apps) == 1 {
		e.App = h.Apps[0]
	}
	for _, e.Environment = range h.Environments {
		entries = append(entries, e)
	}
	return entries
}

// holdLine says what a hold is: "pin h17 at 1.4.1 of api in prod until 2026-12-18T12:00:00Z".
func holdLine(h gitops.Hold) string {
	line := string(h.Kind)
	if h.ID != "" {
		line += " " + h.ID
	}
	if h.Tag != "" {
		line += " at " + h.Tag
	}
	line += " of " + few(h.Apps, "all apps") + " in " + few(h.Environments, "all environments")
	if !h.Until.IsZero() {
		line += " until " + h.Until.UTC().Format(time.RFC3339)
	}
	return line
}

// few lists the first names, or says all for none.
func few(names []string, all string) string {
	const shown = 10
	switch {
	case len(names) == 0:
		return all
	case len(names) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}
