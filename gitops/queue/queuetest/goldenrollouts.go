package queuetest

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rollout is "rollout HOLDER NAME", or "rollout" for the zero lease, with lines
// "STATE UPDATE [deadline=TIME] [by=NAME] [place=NAME][: REASON]".
func (g *golden) rollout(a arguments, input []string) (lines []string, err error) {
	var l queue.Lease
	if len(a.words) > 0 {
		l = g.lease(a.at(0), a.at(1))
	}
	var reports []queue.RolloutReport
	for _, line := range input {
		what, reason, _ := strings.Cut(line, ": ")
		state, words := parseArguments(what)
		r := gitops.Rollout{State: gitops.RolloutState(state), Reason: reason, Deadline: g.time(words.values["deadline"]), By: words.values["by"]}
		if place := words.values["place"]; place != "" {
			r.Places = []gitops.RolloutPlace{{Name: place, State: r.State}}
		}
		reports = append(reports, queue.RolloutReport{Update: g.id(words.at(0)), Rollout: r})
	}
	kept, err := g.q.ReportRollouts(g.t.Context(), l, reports)
	for _, r := range kept {
		lines = append(lines, strings.TrimSpace(rolloutText(&r)))
	}
	return lines, err
}

// rolling are the updates that are on their way in the cluster.
func (g *golden) rolling(arguments) ([]string, error) {
	found, err := g.q.OpenRollouts(g.t.Context())
	return g.lines(found), err
}

// rolloutText is where an update stands in the cluster.
func rolloutText(r *gitops.Rollout) (text string) {
	switch {
	case r == nil:
		return ""
	case r.State == "":
		return " not followed"
	}
	text = fmt.Sprintf(" rollout=%s since=%s", r.State, when(r.Since))
	if r.Reason != "" {
		text += fmt.Sprintf(" %q", r.Reason)
	}
	if !r.Deadline.IsZero() {
		text += " deadline=" + when(r.Deadline)
	}
	if r.By != "" {
		text += " by=" + r.By
	}
	for _, p := range r.Places {
		text += fmt.Sprintf(" %s=%s", p.Name, p.State)
	}
	return text
}
