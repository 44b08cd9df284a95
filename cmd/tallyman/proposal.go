package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// openProposal says in a line where the pull request of a proposed update is, and what
// holds it; nothing of another update.
func (p *printer) openProposal(u gitops.Update) string {
	if u.State != gitops.Proposed || u.Proposal == nil {
		return ""
	}
	text := u.Proposal.URL
	if hold := p.holdText(u); hold != "" {
		text += "; " + hold
	}
	return text
}

// proposedText says of an update that is proposed where its pull request is, and what keeps
// that from being merged.
func (p *printer) proposedText(u gitops.Update) string {
	text := p.openProposal(u)
	if text != "" && len(u.Proposal.WaitsFor) > 0 {
		text += " (" + strings.Join(u.Proposal.WaitsFor, "; ") + ")"
	}
	return text
}

// explainProposal shows an update's pull request: of one that is open what it waits for, and
// of another how it ended.
func (p *printer) explainProposal(u gitops.Update) {
	pull := u.Proposal
	if pull == nil {
		return
	}
	p.line("  ", "Pull request %d: %s", pull.Number, pull.URL)
	opened := fmt.Sprintf("opened %s UTC", timestamp(pull.OpenedAt))
	if u.State == gitops.Proposed {
		opened += fmt.Sprintf(" (%s)", p.ago(pull.OpenedAt))
	}
	p.line("    ", "%s, its head is %s", opened, pull.Head)
	switch {
	case u.State == gitops.Proposed:
		p.waitsFor(u)
	case !pull.EndedAt.IsZero():
		p.line("    ", "%s", endOfProposal(u))
	}
}

// waitsFor lists what keeps an open pull request from being merged.
func (p *printer) waitsFor(u gitops.Update) {
	if u.CancelRequest != nil {
		p.line("    ", "%s: it is being closed", cancellation(*u.CancelRequest))
	}
	for _, b := range u.BlockedBy {
		p.line("    ", "- %s", p.blockText(b))
	}
	for _, text := range u.Proposal.WaitsFor {
		if !slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Reason == text }) {
			p.line("    ", "- %s", text)
		}
	}
	if len(u.BlockedBy) == 0 && len(u.Proposal.WaitsFor) == 0 {
		p.line("    ", "- it waits for a merge")
	}
}

// endOfProposal says how an update's pull request ended, by whom and when.
func endOfProposal(u gitops.Update) string {
	text := "closed"
	if u.State == gitops.Committed {
		text = "merged"
	}
	if u.Proposal.EndedBy != "" {
		text += " by " + u.Proposal.EndedBy
	}
	return text + " at " + timestamp(u.Proposal.EndedAt) + " UTC"
}

// proposalsText says how many pull requests of an environment are open, and which command
// lists them.
func (p *printer) proposalsText(environment string, open api.Proposals) string {
	oldest := ""
	if !open.Oldest.IsZero() {
		oldest = ", the oldest since " + humanDuration(p.now.Sub(open.Oldest))
	}
	return fmt.Sprintf("%s in %s %s open%s. See: tallyman updates --env %[2]s --state proposed",
		plural(open.Updates, "pull request"), environment, isOrAre(open.Updates), oldest)
}
