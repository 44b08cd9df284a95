package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// blockText says what blocks, since when, and what lifts it. Of a hold or a freeze the
// reason says who, why and until when, and of an image where it is looked for.
func (p *printer) blockText(b gitops.Block) string {
	switch {
	case b.Kind.Held():
		return p.heldBy(b)
	case b.Kind == gitops.BlockImage:
		return p.withEnd(fmt.Sprintf("waiting for its image since %s: %s", p.when(b.Since), b.Reason), b)
	}
	text := fmt.Sprintf("%s since %s: %s", b.Kind, p.when(b.Since), b.Reason)
	if b.Until.IsZero() {
		return text + "; a person must decide"
	}
	return text + "; retries at " + p.when(b.Until)
}

// heldBy says what holds an update, and how far away its end is.
func (p *printer) heldBy(b gitops.Block) string { return p.withEnd("held: "+b.Reason, b) }

// withEnd adds to a text how far away a block's end is.
func (p *printer) withEnd(text string, b gitops.Block) string {
	if b.Until.After(p.now) {
		text += " (" + p.ahead(b.Until) + ")"
	}
	return text
}

// waitsForImage reports whether an update waits until its image is found.
func waitsForImage(u gitops.Update) bool {
	return u.State == gitops.Pending && slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Kind == gitops.BlockImage })
}

// holdText says in a line what holds an open update, and nothing when nothing that
// belongs to it alone does.
func (p *printer) holdText(u gitops.Update) string {
	if u.State.Final() {
		return ""
	}
	var texts []string
	if u.CancelRequest != nil {
		texts = append(texts, cancellation(*u.CancelRequest))
	}
	for _, b := range u.BlockedBy {
		texts = append(texts, p.blockText(b))
	}
	return strings.Join(texts, "; ")
}

// isHeld reports whether a hold or a freeze keeps the update from being written.
func isHeld(u gitops.Update) bool {
	return u.State == gitops.Pending && slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Kind.Held() })
}

func countHeld(updates []gitops.Update) (held int) {
	for _, u := range updates {
		if isHeld(u) {
			held++
		}
	}
	return held
}

func cancellation(c gitops.CancelRequest) string {
	text := "cancellation requested by " + c.Actor
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// pending says what an update that is pending waits for, in its environment.
func (p *printer) pending(u gitops.Update, e api.Environment) {
	for _, b := range u.BlockedBy {
		if b.Kind.Held() || b.Kind == gitops.BlockImage {
			p.line("  ", "Pending, %s", p.blockText(b))
		} else {
			p.line("  ", "Blocked by: %s", p.blockText(b))
		}
	}
	if isHeld(u) {
		p.line("  ", "Everything that keeps it, and what may pass: tallyman why %s --env %s", u.App, u.Environment)
	}
	switch {
	case u.CancelRequest != nil:
		p.line("  ", "Pending: %s", cancellation(*u.CancelRequest))
	case e.Removed:
		p.line("  ", "Pending: the environment left the configuration; tallyman cancels its updates")
	case e.OutageOf(u.App) != nil:
		p.line("  ", "Pending: retries automatically. %s", p.outageText(*e.OutageOf(u.App)))
	case len(u.BlockedBy) == 0:
		p.line("  ", "Pending: queued, not blocked")
	}
	for _, app := range e.Apps {
		if app.App == u.App {
			p.differs(app)
		}
	}
}

// outageText says what keeps a lane from writing, since when, and when it
// tries again.
func (p *printer) outageText(o api.Outage) string {
	text := fmt.Sprintf("Lane blocked since %s: %s", p.when(o.Since), o.Text())
	if o.RetryAt.After(p.now) {
		text += "; retries at " + p.when(o.RetryAt)
	}
	return text
}

// when is a time for people, in UTC: without the date if that is today's.
func (p *printer) when(t time.Time) string {
	if t.UTC().Format(time.DateOnly) == p.now.UTC().Format(time.DateOnly) {
		return t.UTC().Format(time.TimeOnly)
	}
	return timestamp(t)
}

// terms say what a person's order asked for beside its tag.
func (p *printer) terms(t *gitops.Terms) {
	if t == nil {
		return
	}
	switch {
	case t.Reverts != "":
		p.line("  ", "%s", withReason("Takes back update "+t.Reverts, t.Reason)) // which says how it failed
	case t.RollsBack != "":
		p.line("  ", "Rollback from %s", t.RollsBack)
	}
	if t.Reason != "" && t.Reverts == "" {
		p.line("  ", "Reason: %s", t.Reason)
	}
	if !t.PinUntil.IsZero() {
		p.line("  ", "Placed with a pin until %s UTC", timestamp(t.PinUntil))
	}
	if len(t.Passes) > 0 {
		p.line("  ", "Passes: %s", withReason(kindsText(t.Passes), t.Override))
	}
}

// kindsText lists kinds of blocks.
func kindsText(kinds []gitops.BlockKind) string {
	texts := make([]string, len(kinds))
	for i, kind := range kinds {
		texts[i] = string(kind)
	}
	return strings.Join(texts, ", ")
}
