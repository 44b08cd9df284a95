package queuetest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// proposal reads "proposal UPDATE NUMBER [opened=TIME] [ended=TIME] [by=NAME]"; what it
// waits for follows, joined by "; ".
func (g *golden) proposal(words []string, waitsFor string) queue.Proposed {
	_, a := parseArguments(strings.Join(words, " "))
	number, err := strconv.Atoi(a.at(1))
	if err != nil {
		g.t.Fatal(err)
	}
	p := gitops.Proposal{
		Number: number, URL: fmt.Sprintf("https://forge.example/%d", number), Head: commit,
		OpenedAt: g.time(a.values["opened"]), EndedAt: g.time(a.values["ended"]), EndedBy: a.values["by"],
	}
	if waitsFor != "" {
		p.WaitsFor = strings.Split(waitsFor, "; ")
	}
	return queue.Proposed{Update: g.id(a.at(0)), Proposal: p}
}

// proposed is what an update says of its proposal, of the one that was closed before, and
// of its revision.
func (g *golden) proposed(u gitops.Update) (text string) {
	if u.Revision != "" {
		text += " revision=" + u.Revision
	}
	if p := u.Proposal; p != nil {
		text += fmt.Sprintf(" proposal=%d opened=%s", p.Number, when(p.OpenedAt))
		if len(p.WaitsFor) > 0 {
			text += fmt.Sprintf(" %q", strings.Join(p.WaitsFor, "; "))
		}
		if !p.EndedAt.IsZero() {
			text += fmt.Sprintf(" ended=%s by=%s", when(p.EndedAt), p.EndedBy)
		}
		if p.URL != fmt.Sprintf("https://forge.example/%d", p.Number) || p.Head != commit {
			g.t.Fatalf("the proposal is %+v", p)
		}
	}
	if c := u.ClosedBefore; c != nil {
		text += fmt.Sprintf(" closed-before=%s by=%q at %q %s", g.names[c.Update], c.By, c.URL, when(c.At))
	}
	return text
}
