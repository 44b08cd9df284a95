package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// waitFlags are the flags of commands that wait for an update.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (w *waitFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait until the update is committed, or say why it is not")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 10*time.Minute, "maximum wait `duration`")
}

func newUpdate() *cobra.Command {
	var from remote
	var w waitFlags
	var o api.OrderRequest
	var key string
	cmd := &cobra.Command{
		Use:   "update APP TAG --env ENV",
		Short: "Request an update",
		Long: `Request that an app gets an image tag in an environment, without a webhook. The order
is checked by the same rules as a dispatch, stored before it is answered, and written
in acceptance order. The token needs the right "order".`,
		Example: `  tallyman update myshop-api main-1a2b3c4 --env dev
  tallyman update myshop-api 1.4.0 --env prod --wait --timeout 2m
  tallyman update myshop-api 1.4.0 --env prod --key "release-1.4.0"   # asked twice, ordered once`,
		Args: exactly("APP", "TAG"),
		RunE: from.run(func(a apiRun, args []string) error {
			o.App, o.Tag = args[0], args[1]
			if o.Environment == "" {
				return badInput{errors.New("--env is required")}
			}
			if key == "" {
				key = uuid.NewString()
			}
			d, err := a.server.Order(a.Context(), key, o)
			if err != nil && gitops.CodeOf(err) == gitops.Unavailable {
				return unknownResult{err, key}
			} else if err != nil {
				return a.unknownName(err, o)
			}
			return a.show(d, w)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	w.flags(cmd)
	cmd.Flags().StringVar(&o.Environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().StringVar(&o.Digest, "digest", "", "image `digest`, as sha256:HEX")
	cmd.Flags().StringVar(&key, "key", "", "`id` of the order: the same one again is the same order (default: a new one)")
	from.completeNames(cmd)
	return cmd
}

// unknownName is the error of an order that was rejected, in the words of other commands
// where that is because of a name that the server does not have.
func (a apiRun) unknownName(err error, o api.OrderRequest) error {
	if gitops.CodeOf(err) == gitops.Rejected {
		if unknown := a.checkNames(o.Environment, o.App); unknown != nil {
			return gitops.Errorf(gitops.Rejected, "%s", unknown)
		}
	}
	return err
}

// unknownResult is an order that may have been accepted: its answer did not come.
type unknownResult struct {
	error
	key string
}

func (u unknownResult) Error() string {
	return fmt.Sprintf("%s; result unknown; repeat safely with --key %s", u.error, u.key)
}
func (u unknownResult) Unwrap() error { return u.error }

// show prints an order's updates, once they have ended if that is waited for.
func (a apiRun) show(d gitops.Delivery, w waitFlags) error {
	var end error
	if w.wait {
		for i, u := range d.Updates {
			if d.Updates[i], end = a.await(u, w); end != nil {
				break
			}
		}
	}
	p := a.print
	err := p.print(d, func() {
		for _, u := range d.Updates {
			p.line("", "%s: %s", title(u), p.outcome(u))
		}
		if len(d.Updates) == 0 {
			p.line("", "%s", d.Reason)
		}
		p.line("", "details: tallyman explain %s", d.Key())
	})
	return errors.Join(err, end)
}

// title names an update for people.
func title(u gitops.Update) string {
	return fmt.Sprintf("%s in %s to %s", u.App, u.Environment, u.Tag)
}

func (p *printer) outcome(u gitops.Update) string {
	text := p.state(u.State)
	if detail := firstOf(u.Commit, u.Reason, p.holdText(u)); detail != "" {
		text += " (" + detail + ")"
	}
	return text
}
