package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

func newWatch() *cobra.Command {
	var from remote
	var environment, app, delivery string
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Stream deliveries, updates, rollouts and holds",
		Long: `Stream deliveries as they arrive, updates as they change, where those that are written
come to stand in the cluster, and holds as they are placed and lifted. With -o json each
is a line of JSON. A connection that breaks is opened again, and standard error says so;
Ctrl-C ends the stream.`,
		Example: "  tallyman watch --env prod\n  tallyman watch -o json | jq -r 'select(.update.state == \"failed\") | .update.reason'",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			if err := a.checkNames(environment, app); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			filter := filterOf("environment", environment, "app", app, "delivery", delivery)
			link := connection{out: a.ErrOrStderr()}
			err := a.server.Follow(ctx, filter, "", link.stands, a.print.event, link.away)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only events of this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only events of this `app`")
	cmd.Flags().StringVar(&delivery, "delivery", "", "only events of this delivery, `SOURCE/ID`")
	from.completeNames(cmd)
	return cmd
}

// connection says on standard error when the server cannot be reached, once, and when
// it can be again: what happened meanwhile follows.
type connection struct {
	out  io.Writer
	lost bool
}

func (c *connection) away(err error) error {
	if !c.lost {
		fmt.Fprintln(c.out, "tallyman:", printable(gitops.PublicOf(err))+"; retrying")
	}
	c.lost = true
	return nil
}

func (c *connection) stands() error {
	if c.lost {
		fmt.Fprintln(c.out, "tallyman: connected")
	}
	c.lost = false
	return nil
}

// event prints one event.
func (p *printer) event(e client.Event) error {
	answer := map[string]any{"update": e.Update}
	switch {
	case e.Delivery != nil:
		answer = map[string]any{"delivery": e.Delivery}
	case e.Rollout != nil:
		answer = map[string]any{"rollout": e.Rollout}
	case e.Hold != nil:
		answer = map[string]any{"hold": e.Hold}
	}
	switch {
	case p.format == "json":
		return json.NewEncoder(p.out).Encode(answer)
	case p.format == "yaml":
		fmt.Fprintln(p.out, "---")
		return p.yaml(answer)
	case e.Delivery != nil:
		d := *e.Delivery
		p.line("", "%s  delivery %s: %s: %s", clock(d.ReceivedAt), d.Key(), p.paint(string(d.Outcome), stateColours[string(d.Outcome)]), p.resultText(d))
	case e.Rollout != nil && e.Rollout.Rollout != nil:
		u := *e.Rollout
		p.line("", "%s  %s: %s", clock(u.Rollout.Since), title(u), p.rolloutText(u))
	case e.Hold != nil:
		p.line("", "%s  %s", clock(changedAt(*e.Hold)), p.holdEvent(*e.Hold))
	case e.Update != nil:
		u := *e.Update
		u.Rollout = nil // an event of its own tells of that
		at := u.FinishedAt
		if at.IsZero() {
			at = time.Now()
		}
		p.line("", "%s  %s: %s", clock(at), title(u), p.outcome(u))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// changedAt is when a hold was placed, or lifted.
func changedAt(h gitops.Hold) time.Time {
	if h.Lifted != nil {
		return h.Lifted.At
	}
	return h.Since
}

// holdEvent says what happened to a hold.
func (p *printer) holdEvent(h gitops.Hold) string {
	text := fmt.Sprintf("%s of %s: ", kindWords[h.Kind], areaOf(h))
	if h.Lifted == nil {
		return text + p.holdLine(h)
	}
	return text + withReason(h.ID+" lifted by "+person(h.Lifted.Actor), h.Lifted.Reason)
}
