package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const hour = time.Hour

// when is a time as scripts have it: since their beginning.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := t.Sub(began); d < 0 {
		return d.String()
	}
	return "+" + t.Sub(began).String()
}

// lines are updates, each on a line.
func (g *golden) lines(updates []gitops.Update) (lines []string) {
	for _, u := range updates {
		lines = append(lines, g.line(u))
	}
	return lines
}

func (g *golden) line(u gitops.Update) string {
	g.name(u)
	line := g.names[u.ID] + " " + string(u.State)
	if u.Code != "" {
		line += " " + string(u.Code)
	}
	if reason := withoutOwnWords(u.State, u.Reason); reason != "" {
		line += fmt.Sprintf(" %q", reason)
	}
	if u.Commit != "" {
		line += " " + u.Commit[:7]
	}
	if u.Attempts > 0 {
		line += fmt.Sprintf(" attempts=%d", u.Attempts)
	}
	if !u.FinishedAt.IsZero() {
		line += " finished=" + when(u.FinishedAt)
	}
	if u.MaybePushed {
		line += " maybe-pushed"
	}
	if c := u.CancelRequest; c != nil {
		line += fmt.Sprintf(" cancel-requested-by=%s %q", c.Actor, c.Reason)
	}
	if !u.HeldUntil.IsZero() {
		line += " held-until=" + when(u.HeldUntil)
	}
	if f := u.Found; f != nil {
		line += " found=" + f.Digest + namedText(f.Named)
	}
	if !u.ImageSince.IsZero() {
		line += " missing-since=" + when(u.ImageSince)
	}
	line += g.proposed(u) + rolloutText(u.Rollout)
	for _, b := range u.BlockedBy {
		line += fmt.Sprintf(" [%s since %s until %s %q]", b.Kind, when(b.Since), when(b.Until), b.Reason)
	}
	return line
}

// steps are an update's steps, each on a line.
func steps(all []gitops.Step) (lines []string) {
	for _, s := range all {
		line := "  " + when(s.At)
		if !s.Until.IsZero() {
			line += " to " + when(s.Until)
		}
		line += " " + string(s.State)
		if s.Rollout != "" {
			line += " rollout=" + string(s.Rollout)
		}
		if s.Actor != "" {
			line += " by " + s.Actor
		}
		if s.Code != "" {
			line += " " + string(s.Code)
		}
		if reason := withoutOwnWords(s.State, s.Reason); reason != "" {
			line += fmt.Sprintf(" %q", reason)
		}
		if s.Commit != "" {
			line += " " + s.Commit[:7]
		}
		if s.Attempts > 0 {
			line += fmt.Sprintf(" attempts=%d", s.Attempts)
		}
		if !s.RetryAt.IsZero() {
			line += " retry=" + when(s.RetryAt)
		}
		lines = append(lines, line)
	}
	return lines
}

func (g *golden) update(a arguments) ([]string, error) {
	u, err := g.q.Update(g.t.Context(), g.id(a.at(0)))
	if err != nil {
		return nil, err
	}
	return append(g.lines([]gitops.Update{u}), steps(u.Steps)...), nil
}

func (g *golden) delivery(a arguments) ([]string, error) {
	var key gitops.DeliveryKey
	if err := key.UnmarshalText([]byte(a.at(0))); err != nil {
		g.t.Fatal(err)
	}
	d, err := g.q.Delivery(g.t.Context(), key)
	if err != nil {
		return nil, err
	}
	return append([]string{string(d.Outcome)}, g.lines(d.Updates)...), nil
}

func (g *golden) head(a arguments) ([]string, error) {
	environment, app, _ := strings.Cut(a.at(0), "/")
	h, err := g.q.Head(g.t.Context(), environment, app)
	if err != nil {
		return nil, err
	}
	written := "nothing"
	if h.WrittenID != "" {
		written = fmt.Sprintf("%s (%s)", h.WrittenTag, g.names[h.WrittenID])
	}
	if written == "nothing" != (h.Written == 0) || h.Environment != environment || h.App != app {
		g.t.Fatalf("the head of %s contradicts itself: %+v", a.at(0), h)
	}
	line := fmt.Sprintf("newest event %s, newest receipt %s, written %s", when(h.NewestEvent), when(h.NewestReceipt), written)
	if h.HealthyID != "" {
		line += fmt.Sprintf(", healthy %s (%s)", h.HealthyTag, g.names[h.HealthyID])
	}
	return []string{line}, nil
}

func (g *golden) backlogs(arguments) (lines []string, err error) {
	all, err := g.q.Backlogs(g.t.Context())
	for _, b := range all {
		line := fmt.Sprintf("%s: pending=%d oldest=%s", b.Environment, b.Pending, when(b.Oldest))
		for _, kind := range gitops.BlockKinds() {
			if n := b.Held[kind]; n != 0 {
				line += fmt.Sprintf(" %s=%d", kind, n)
			}
		}
		if b.Proposed > 0 {
			line += fmt.Sprintf(" proposed=%d oldest-proposed=%s", b.Proposed, when(b.OldestProposed))
		}
		line += fmt.Sprintf(" holder=%q progress=%s", b.Holder, when(b.LastProgress))
		if !b.LastSuccess.IsZero() {
			line += " success=" + when(b.LastSuccess)
		}
		if o := b.Outage; o != nil {
			line += fmt.Sprintf(" outage since %s retry=%s %s %q", when(b.OutageSince), when(o.RetryAt), o.Code, o.Reason)
			if o.Repository != "" {
				line += " of " + o.Repository
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, err
}

func (g *golden) failures(arguments) (lines []string, err error) {
	all, err := g.q.Failures(g.t.Context())
	for _, f := range all {
		lines = append(lines, fmt.Sprintf("%s/%s: %d since %s, newest %s", f.Environment, f.App, f.Count, when(f.Oldest), g.names[f.Newest]))
	}
	return lines, err
}

func (g *golden) overtaken(a arguments) (lines []string, err error) {
	var ids []string
	for _, name := range a.words {
		ids = append(ids, g.id(name))
	}
	by, err := g.q.Overtaken(g.t.Context(), ids)
	for id, newer := range by {
		lines = append(lines, g.names[id]+" by "+g.names[newer])
	}
	slices.Sort(lines)
	return lines, err
}

func (g *golden) updates(a arguments) ([]string, error) {
	f := queue.UpdateFilter{Environment: a.values["env"], App: a.values["app"], State: gitops.State(a.values["state"])}
	return paged(g, a, func(p queue.Page) ([]string, string, error) {
		found, next, err := g.q.Updates(g.t.Context(), f, p)
		return g.lines(found), next, err
	})
}

func (g *golden) deliveries(a arguments) ([]string, error) {
	f := queue.DeliveryFilter{Source: a.values["source"], Outcome: gitops.Outcome(a.values["outcome"])}
	return paged(g, a, func(p queue.Page) (lines []string, next string, err error) {
		found, next, err := g.q.Deliveries(g.t.Context(), f, p)
		for _, d := range found {
			lines = append(lines, fmt.Sprintf("%s %s updates=%d", d.Key(), d.Outcome, len(d.Updates)))
		}
		return lines, next, err
	})
}

// paged reads a list page by page.
func paged(g *golden, a arguments, read func(queue.Page) ([]string, string, error)) (lines []string, err error) {
	p := queue.Page{Limit: g.number(a.values["limit"])}
	for {
		page, next, err := read(p)
		if err != nil {
			return nil, err
		}
		lines = append(lines, page...)
		if next == "" {
			return lines, nil
		}
		lines, p.Cursor = append(lines, "next page"), next
	}
}

// changes prints what changed since they were last asked for, or "from-start".
func (g *golden) changes(a arguments) (lines []string, err error) {
	if a.has("from-start") {
		g.cursor = ""
	}
	found, err := g.q.Changes(g.t.Context(), g.cursor, g.number(a.values["limit"]))
	for _, c := range found {
		g.cursor = c.Cursor
		what := ""
		switch {
		case c.Delivery != nil:
			what = fmt.Sprintf("delivery %s %s updates=%d", c.Delivery.Key(), c.Delivery.Outcome, len(c.Delivery.Updates))
		case c.Hold != nil:
			what = holdText(*c.Hold)
		case c.Rollout:
			what = "rollout of " + g.line(*c.Update)
		default:
			what = g.line(*c.Update)
		}
		lines = append(lines, when(c.At)+" "+what)
	}
	return lines, err
}

func (g *golden) checkpoint(a arguments) ([]string, error) {
	value, err := g.q.Checkpoint(g.t.Context(), a.at(0))
	return []string{fmt.Sprintf("%q", value)}, err
}

func (g *golden) setCheckpoint(a arguments) ([]string, error) {
	return []string{"ok"}, g.q.SetCheckpoint(g.t.Context(), a.at(0), a.at(1))
}

// useOnce is "use-once CREDENTIAL SOURCE/ID UNTIL".
func (g *golden) useOnce(a arguments) ([]string, error) {
	var key gitops.DeliveryKey
	if err := key.UnmarshalText([]byte(a.at(1))); err != nil {
		g.t.Fatal(err)
	}
	return []string{"ok"}, g.q.UseOnce(g.t.Context(), a.at(0), key, g.time(a.at(2)))
}

func (g *golden) prune(a arguments) ([]string, error) {
	n, err := g.q.Prune(g.t.Context(), g.time(a.values["before"]), g.number(a.values["limit"]))
	return []string{fmt.Sprintf("%d deliveries", n)}, err
}
