package queuetest

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// place places one hold, with an order of a person if the script names one.
func (g *golden) place(a arguments) ([]string, error) {
	h := person(gitops.Hold{Kind: gitops.HoldKind(a.at(0)), Tag: a.values["tag"]})
	if environments := a.values["env"]; environments != "" {
		h.Environments = strings.Split(environments, ",")
	}
	if apps := a.values["apps"]; apps != "" {
		h.Apps = strings.Split(apps, ",")
	}
	if length := a.values["for"]; length != "" {
		h.Until = g.clock.Now().Add(g.duration(length, 0))
	}
	p := queue.Placement{Holds: []gitops.Hold{h}, Key: a.values["key"], Written: g.id(a.values["written"])}
	if id := a.values["order"]; id != "" {
		d := g.sent(arguments{words: []string{id, h.Environments[0] + "/" + h.Apps[0]}})
		d.Source, d.Principal = "api", h.Principal
		p.Order = &d
	}
	placed, err := g.q.Place(g.t.Context(), p)
	if err != nil {
		return nil, err
	}
	var lines []string
	if placed.Duplicate {
		lines = append(lines, "duplicate")
	}
	for _, h := range append(placed.Holds, placed.Replaced...) {
		lines = append(lines, holdText(h))
	}
	if placed.Order != nil {
		lines = append(lines, g.lines(placed.Order.Updates)...)
	}
	return lines, nil
}

// holdText is a hold on a line.
func holdText(h gitops.Hold) string {
	line := fmt.Sprintf("%s %s", h.ID, h.Kind)
	if h.Tag != "" {
		line += " " + h.Tag
	}
	for _, part := range []struct {
		what  string
		names []string
	}{{"of", h.Apps}, {"in", h.Environments}} {
		if len(part.names) > 0 {
			line += " " + part.what + " " + strings.Join(part.names, ",")
		}
	}
	line += fmt.Sprintf(" since %s until %s", when(h.Since), when(h.Until))
	if l := h.Lifted; l != nil {
		line += fmt.Sprintf(" lifted %s by %s %q", when(l.At), l.Actor, l.Reason)
	}
	return line
}

func (g *golden) lift(a arguments) (lines []string, err error) {
	lifted, err := g.q.Lift(g.t.Context(), queue.Lifting{IDs: a.words, Principal: "token:cy", Actor: "token:cy", Reason: "over"})
	if err != nil {
		return nil, err
	}
	for _, h := range lifted.Holds {
		lines = append(lines, holdText(h))
	}
	return append(lines, fmt.Sprintf("ready: %d", lifted.Ready)), nil
}

func (g *golden) rejudge(a arguments) ([]string, error) {
	return []string{"ok"}, g.q.Rejudge(g.t.Context(), gitops.BlockKind(a.at(0)), a.words[1:])
}

func (g *golden) holds(a arguments) (lines []string, err error) {
	found, _, err := g.q.HoldsListed(g.t.Context(), queue.HoldFilter{Ended: a.has("ended")}, queue.Page{Limit: everything})
	for _, h := range found {
		lines = append(lines, holdText(h))
	}
	return lines, err
}
