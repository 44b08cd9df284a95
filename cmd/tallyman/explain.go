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
		Short: "Tell the whole story of a delivery or an update",
		Long: `Tells what arrived, from whom, what it meant and why, and what became of it, with
every attempt, wait and error. ID is a delivery's, as SOURCE/ID or as the sender's id
alone (GitHub's X-GitHub-Delivery, EventBridge's id), or an update's.`,
		Example: `  tallyman explain 72d3162e-cc78-11e3-81ab-4c9367dc0958
  tallyman explain github/72d3162e-cc78-11e3-81ab-4c9367dc0958 -o json`,
		Args: exactly("ID"),
		RunE: from.run(func(a asking, args []string) error {
			d, err := find(a.Context(), a.server, args[0])
			if err != nil {
				return err
			}
			return a.print.print(d, func() { a.print.explain(d) })
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
		return d, gitops.Errorf(gitops.NotFound, "the server has no delivery and no update %s. "+
			"It never arrived, or its credential was wrong or its body could not be read: then nothing of it is kept but a line in the server's log. "+
			"GitHub shows what it sent, and what it was answered, in the App's settings under Advanced, Recent deliveries", id)
	}
	return d, err
}

// explain tells a delivery's story to whoever sent it.
func (p *printer) explain(d gitops.Delivery) {
	p.line("", "Delivery %s: %s", d.Key(), p.paint(string(d.Outcome), stateColours[string(d.Outcome)]))
	p.line("  ", "It arrived %s UTC%s.", timestamp(d.ReceivedAt), provenance(d))
	switch d.Outcome {
	case gitops.OutcomeRejected:
		p.line("  ", "It was refused, and nothing was changed:")
		p.reasons(became(d))
		p.line("  ", "Mend that and send a new one: the same delivery is refused again.")
	case gitops.OutcomeIgnored:
		p.line("  ", "It asks for nothing, and nothing was changed:")
		p.reasons(d.Reason)
	case gitops.OutcomeAccepted:
		p.line("  ", "It became %s.", plural(len(d.Updates), "update"))
		if d.Reason != "" {
			p.line("  ", "Left out:")
			p.reasons(d.Reason)
		}
	}
	for _, u := range d.Updates {
		fmt.Fprintln(p.out)
		p.explainUpdate(u)
	}
}

// provenance says where a delivery came from and why it was believed.
func provenance(d gitops.Delivery) string {
	var text string
	if d.Actor != "" {
		text += ", on the word of " + d.Actor
	}
	if d.Remote != "" {
		text += ", from " + d.Remote
	}
	if d.Credential != "" {
		text += ", believed by its " + d.Credential
	}
	return text
}

// reasons lists the rules that decided, one a line.
func (p *printer) reasons(text string) {
	for reason := range strings.SplitSeq(text, "; ") {
		p.line("    ", "- %s", reason)
	}
}

func (p *printer) explainUpdate(u gitops.Update) {
	p.line("", "%s in %s to %s: %s", u.App, u.Environment, u.Tag, p.paint(string(u.State), stateColours[string(u.State)]))
	p.line("  ", "Update %s", u.ID)
	p.line("  ", "%s  accepted", timestamp(u.AcceptedAt))
	for _, step := range u.Steps {
		p.line("  ", "%s  %s", timestamp(step.At), stepWords(u, step))
	}
	p.line("  ", "%s", verdict(u))
}

// stepWords says in a line what happened.
func stepWords(u gitops.Update, s gitops.Step) string {
	var text string
	switch {
	case s.Attempts == 0 && s.Actor != "":
		return "to be tried again, on the word of " + s.Actor
	case s.State == gitops.Pending:
		text = "could not be written yet"
	case s.State == gitops.Committed:
		text = "committed as " + s.Commit
	case s.State == gitops.Unchanged:
		text = "nothing to commit"
	default:
		text = string(s.State)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	if s.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts until %s)", s.Attempts, timestamp(s.Until))
	}
	if s.State == gitops.Pending && u.State == gitops.Pending && !s.RetryAt.IsZero() {
		text += fmt.Sprintf("; next attempt %s", timestamp(s.RetryAt))
	}
	return text
}

// verdict says what an update's state means for whoever ordered it.
func verdict(u gitops.Update) string {
	switch u.State {
	case gitops.Pending:
		if u.Reason == "" {
			return "It waits for its turn, and nothing keeps it from being written."
		}
		return "It waits, and is tried again until it succeeds. Nothing is lost."
	case gitops.Committed:
		return "It is on origin's branch, where Argo CD finds it."
	case gitops.Unchanged:
		return "Origin's branch said so already."
	case gitops.Superseded:
		return "It was not written: " + firstOf(u.Reason, "a newer release took its place") + "."
	}
	return "It was not written. Mend what the reason names, then: tallyman retry " + u.ID
}

func (p *printer) line(indent, format string, args ...any) {
	fmt.Fprint(p.out, printable(fmt.Sprintf(indent+format+"\n", args...)))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
