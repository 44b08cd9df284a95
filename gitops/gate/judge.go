package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Question is an update, as far as that decides what keeps it from being written.
type Question struct {
	Environment, App, Tag string
	// Passes are the kinds that it may pass: a rollback passes pins and freezes, and a
	// person's override what it names.
	Passes []gitops.BlockKind
}

// Judge returns everything that keeps an update from being written at a time: each hold
// and each freeze, and not only the first. It is the one place that says so.
func Judge(q Question, holds []gitops.Hold, freezes *Freezes, now time.Time) (blocks []gitops.Block) {
	for _, h := range holds {
		kind := gitops.BlockKind(h.Kind)
		if !h.InForce(now) || !h.Covers(q.Environment, q.App) || slices.Contains(q.Passes, kind) {
			continue
		}
		if h.Kind == gitops.HoldPin && h.Tag == q.Tag || h.Kind == gitops.HoldBad && h.Tag != q.Tag {
			continue
		}
		blocks = append(blocks, gitops.Block{Kind: kind, Reason: Words(h, now), Since: h.Since, Until: h.Until})
	}
	if !slices.Contains(q.Passes, gitops.BlockFreeze) {
		for _, c := range freezes.At(q.Environment, q.App, now) {
			blocks = append(blocks, gitops.Block{Kind: gitops.BlockFreeze, Reason: c.words(now), Since: cmp.Or(c.From, now), Until: c.Until})
		}
	}
	return blocks
}

// Words says what a hold does, who placed it, until when, and why.
func Words(h gitops.Hold, now time.Time) string {
	var text string
	until := ""
	if !h.Until.IsZero() {
		until = " until " + clock(h.Until, time.UTC, now)
	}
	switch h.Kind {
	case gitops.HoldPin:
		text = fmt.Sprintf("%s pinned %s%s", h.Actor, h.Tag, until)
	case gitops.HoldFreeze:
		text = fmt.Sprintf("%s froze %s%s", h.Actor, scope(h), until)
	case gitops.HoldStop:
		text = fmt.Sprintf("%s stopped %s at %s", h.Actor, scope(h), clock(h.Since, time.UTC, now))
	case gitops.HoldBad:
		text = fmt.Sprintf("%s marked %s as bad at %s", h.Actor, h.Tag, clock(h.Since, time.UTC, now))
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

func (c Closed) words(now time.Time) string {
	text := "freeze " + c.Freeze
	if zone, err := time.LoadLocation(c.Zone); err == nil && !c.Until.IsZero() {
		text += " until " + clock(c.Until, zone, now)
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// scope names what a hold covers: "prod", "cart and pay in prod", "everything".
func scope(h gitops.Hold) string {
	apps, environments := list(h.Apps), list(h.Environments)
	switch {
	case apps == "" && environments == "":
		return "everything"
	case apps == "":
		return environments
	case environments == "":
		return apps
	}
	return apps + " in " + environments
}

func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// clock is a time as a clock in the zone shows it: with as much of the date as tells it
// from now.
func clock(at time.Time, zone *time.Location, now time.Time) string {
	layout := "15:04"
	switch away := at.Sub(now).Abs(); {
	case away >= 6*24*time.Hour:
		layout = "Mon 2006-01-02 15:04"
	case at.In(zone).Format(time.DateOnly) != now.In(zone).Format(time.DateOnly):
		layout = "Mon 15:04"
	}
	return at.In(zone).Format(layout) + " " + zone.String()
}
