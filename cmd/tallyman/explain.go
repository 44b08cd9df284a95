package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

func newExplain() *cobra.Command {
	var from remote
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Show every step of a delivery or an update",
		Long: `Show every step of a delivery or an update: what arrived, from whom, what it means and
why, every attempt, block and error, the result, and where it stands in the cluster. ID
is a delivery's, as SOURCE/ID or as the sender's id alone (GitHub's X-GitHub-Delivery,
EventBridge's id), or an update's. What is blocked says by what, since when, and when
tallyman retries; what does not run says why, and what can be done. Of a delivery of
many updates those that need somebody are shown, and the others listed. Of what is
written by pull requests it shows the request, what it waits for, and who merged or
closed it.`,
		Example: `  tallyman explain 72d3162e-cc78-11e3-81ab-4c9367dc0958
  tallyman explain github/72d3162e-cc78-11e3-81ab-4c9367dc0958 -o json`,
		Args: exactly("ID"),
		RunE: from.run(func(a apiRun, args []string) error {
			d, err := find(a.Context(), a.server, args[0])
			if err != nil {
				return err
			}
			return a.print.print(d, func() { a.print.explain(d, args[0], a.details()) })
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from.flags(cmd)
	return cmd
}

// find finds the delivery that an id of either kind is about.
func find(ctx context.Context, server *client.Client, id string) (gitops.Delivery, error) {
	if !strings.Contains(id, "/") {
		u, err := server.Update(ctx, id)
		if err == nil {
			return server.Delivery(ctx, u.Delivery.String())
		} else if gitops.CodeOf(err) != gitops.NotFound {
			return gitops.Delivery{}, err
		}
	}
	d, err := server.Delivery(ctx, id)
	if gitops.CodeOf(err) == gitops.NotFound {
		return d, gitops.Errorf(gitops.NotFound, "no delivery or update with ID %s: not received, not authenticated, malformed, older than retention.keep, or not yours to read. "+
			"See the server log and GitHub, App settings, Recent deliveries", id)
	}
	return d, err
}

// explain shows a delivery to its sender, who asked for it or for one of its updates.
func (p *printer) explain(d gitops.Delivery, asked string, of details) {
	p.line("", "Delivery %s: %s", d.Key(), p.paint(string(d.Outcome), stateColours[string(d.Outcome)]))
	p.line("  ", "%s", provenance(d))
	switch d.Outcome {
	case gitops.OutcomeRejected:
		p.line("  ", "Rejected. Nothing changed:")
		p.reasons(p.resultText(d))
		p.line("  ", "Fix the cause and send a new delivery; this ID stays rejected")
	case gitops.OutcomeIgnored:
		p.line("  ", "Ignored. Nothing changed:")
		p.reasons(d.Reason)
	case gitops.OutcomeWaiting:
		p.line("  ", "Waits for an app. Nothing changed yet:")
		p.reasons(p.resultText(d))
		p.line("  ", "It is decided by itself when the app is discovered or configured; there is no need to send it again")
	case gitops.OutcomeAccepted:
		p.line("  ", "Created %s", plural(len(d.Updates), "update"))
		if d.Reason != "" {
			p.line("  ", "Skipped:")
			p.reasons(d.Reason)
		}
	}
	if len(d.Updates) > mostExplained {
		p.explainMany(d, asked, of)
		return
	}
	for _, u := range d.Updates {
		fmt.Fprintln(p.out)
		p.explainUpdate(u, of)
	}
}

// reasons lists the rules that decided, one a line.
func (p *printer) reasons(text string) {
	for reason := range strings.SplitSeq(text, "; ") {
		p.line("    ", "- %s", reason)
	}
}

func (p *printer) explainUpdate(u gitops.Update, of details) {
	p.line("", "%s: %s", title(u), p.state(u.State))
	p.line("  ", "Update %s", u.ID)
	p.terms(u.Terms)
	p.line("  ", "%s  accepted", timestamp(u.AcceptedAt))
	before := gitops.Step{State: gitops.Pending}
	cancellation := cancellationOf(u)
	for i, step := range u.Steps {
		if step.State.Written() && step.Rollout == "" {
			p.image(u.Found)
		}
		p.line("  ", "%s  %s", timestamp(step.At), stepText(before, step, i >= cancellation))
		before = step
	}
	if u.State == gitops.Pending {
		p.pending(u, of.environment(u))
		p.origin(of.app(u))
	} else {
		p.explainProposal(u)
		if u.Commit != "" {
			made, err := of.commit(u)
			p.commit(u, made, err)
		}
		p.line("  ", "%s", verdict(u))
		if u.Rollout != nil {
			p.rollout(u.App, u.Environment, *u.Rollout)
		}
	}
	p.feedback(u.Feedback)
	p.decisions(u)
}

// feedback says what GitHub shows of an update.
func (p *printer) feedback(f *gitops.Feedback) {
	switch {
	case f == nil:
	case f.Deployment == 0:
		p.line("  ", "No deployment was made in %s: %s", f.Repository, f.Reason)
	default:
		p.line("  ", "Deployment %d of %s in %s: %s", f.Deployment, f.Repository, f.Environment, f.URL)
	}
}

// image says when an update's image was found, and what it is.
func (p *printer) image(found *gitops.Found) {
	if found == nil {
		return
	}
	p.line("  ", "%s  image found: digest %s", timestamp(found.At), found.Digest)
	if found.Named {
		p.line("    ", "The tag named another image before; it was ordered by this digest")
	}
}

// decisions says what can be done about an update, as the server says that it would be
// done, and why what comes to mind first would be refused.
func (p *printer) decisions(u gitops.Update) {
	if u.State == gitops.Closed {
		p.line("  ", "To have it proposed again, order it by name: tallyman update %s %s --env %s", u.App, u.Tag, u.Environment)
	}
	for _, d := range u.Decisions {
		switch {
		case d.Action == gitops.ActionRetry && isHeld(u): // it would be held again: see why
		case d.Refused == "" && d.Action == gitops.ActionRetry && waitsForImage(u):
			p.line("  ", "To have its image looked for at once: tallyman retry %s", u.ID)
		case d.Refused == "" && d.Action == gitops.ActionRetry && u.State == gitops.Pending:
			p.line("  ", "To lift what blocks it: tallyman retry %s", u.ID)
		case d.Refused == "" && u.State == gitops.Proposed:
			p.line("  ", "To give it up, and have its pull request closed: tallyman %s %s", d.Action, u.ID)
		case d.Refused == "":
			p.line("  ", "%s: tallyman %s %s", purposes[d.Action], d.Action, u.ID)
		case d.Action == gitops.ActionRetry && u.OvertakenBy == "": // else it is said already
			p.line("  ", "Cannot be retried: %s", d.Refused)
		}
	}
}

// purposes say what a decision is for.
var purposes = map[gitops.Action]string{
	gitops.ActionRetry:   "After the cause is fixed",
	gitops.ActionCancel:  "To give it up",
	gitops.ActionDismiss: "To give it up",
}

// verdict says what the state of an update that is not pending means to its sender.
func verdict(u gitops.Update) string {
	switch u.State {
	case gitops.Proposed:
		return fmt.Sprintf("Proposed: committed when its pull request is merged. Everything that keeps it: tallyman why %s --env %s", u.App, u.Environment)
	case gitops.Committed:
		return committed(u)
	case gitops.Unchanged:
		return "Unchanged: the file already had this tag"
	case gitops.Superseded:
		return capital(withReason("superseded", firstOf(u.Reason, "a newer release of the app took its place")))
	case gitops.Closed:
		return "Closed: " + firstOf(u.Reason, "a person closed its pull request")
	case gitops.Cancelled:
		return "Cancelled" + endedBy(u)
	}
	if u.OvertakenBy != "" {
		return fmt.Sprintf("Failed, and overtaken by update %s: nothing needs to be done", u.OvertakenBy)
	}
	return "Failed" + endedBy(u)
}

// committed says of an update that is committed what comes next, where nothing is known of the
// cluster.
func committed(u gitops.Update) string {
	switch {
	case u.Rollout != nil:
		return "Committed"
	case u.FollowedBy != "":
		return "Committed. It is not known yet whether it runs"
	}
	return "Committed. Argo CD syncs it from the branch"
}

// endedBy names the person who ended an update, and why it ended.
func endedBy(u gitops.Update) (text string) {
	if n := len(u.Steps); n > 0 && u.Steps[n-1].Actor != "" {
		text = " by " + u.Steps[n-1].Actor
	}
	if u.Reason != "" {
		text += ": " + u.Reason
	}
	return text
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (p *printer) line(indent, format string, args ...any) {
	fmt.Fprint(p.out, printable(fmt.Sprintf(indent+format+"\n", args...)))
}

// state is a state in its colour.
func (p *printer) state(s gitops.State) string { return p.paint(string(s), stateColours[string(s)]) }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
