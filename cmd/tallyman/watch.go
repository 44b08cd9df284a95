package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
)

func newWatch() *cobra.Command {
	var from remote
	var environment, app, delivery string
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Stream deliveries and updates",
		Long: `Stream deliveries as they arrive and updates as they change. With -o json each is a
line of JSON. A connection that breaks is opened again; Ctrl-C ends the stream.`,
		Example: "  tallyman watch --env prod\n  tallyman watch -o json | jq -r 'select(.update.state == \"failed\") | .update.reason'",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			if err := a.checkNames(environment, app); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			filter := filterOf("environment", environment, "app", app, "delivery", delivery)
			err := a.server.Follow(ctx, filter, "", func() error { return nil }, a.print.event)
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

// event prints one event.
func (p *printer) event(e client.Event) error {
	answer := map[string]any{"update": e.Update}
	if e.Delivery != nil {
		answer = map[string]any{"delivery": e.Delivery}
	}
	switch {
	case p.format == "json":
		return json.NewEncoder(p.out).Encode(answer)
	case p.format == "yaml":
		fmt.Fprintln(p.out, "---")
		return p.yaml(answer)
	case e.Delivery != nil:
		d := *e.Delivery
		p.line("", "%s  delivery %s: %s: %s", clock(d.ReceivedAt), d.Key(), p.paint(string(d.Outcome), stateColours[string(d.Outcome)]), resultText(d))
	default:
		u := *e.Update
		at := u.FinishedAt
		if at.IsZero() {
			at = time.Now()
		}
		p.line("", "%s  %s: %s", clock(at), title(u), p.outcome(u))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
