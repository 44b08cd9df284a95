package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// patience is what commands that wait have in common.
type patience struct {
	wait    bool
	timeout time.Duration
}

func (w *patience) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait until the commit is on origin, or tell why it is not")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 10*time.Minute, "how `long` to wait")
}

func newUpdate() *cobra.Command {
	var from remote
	var w patience
	var o api.OrderRequest
	var key string
	cmd := &cobra.Command{
		Use:   "update APP TAG --env ENV",
		Short: "Order an update, without a webhook",
		Long: `Orders that an app be set to an image tag in an environment. It is checked by the
same rules as a dispatch, kept before it is answered, and written in the same order.
The token needs the right "order".`,
		Example: `  tallyman update myshop-api main-1a2b3c4 --env dev
  tallyman update myshop-api 1.4.0 --env prod --wait --timeout 2m
  tallyman update myshop-api 1.4.0 --env prod --key "release-1.4.0"   # asked twice, ordered once`,
		Args: exactly("APP", "TAG"),
		RunE: from.run(func(a asking, args []string) error {
			o.App, o.Tag = args[0], args[1]
			if o.Environment == "" {
				return badInput{errors.New("--env is required")}
			}
			if key == "" {
				key = uuid.NewString()
			}
			d, err := a.server.Order(a.Context(), key, o)
			if err != nil && gitops.CodeOf(err) == gitops.Unavailable {
				return unanswered{err, key}
			} else if err != nil {
				return err
			}
			return a.show(d, w)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	w.flags(cmd)
	cmd.Flags().StringVar(&o.Environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().StringVar(&o.Digest, "digest", "", "image `digest`, sha256:...")
	cmd.Flags().StringVar(&key, "key", "", "the order's `id`: the same one again is the same order (default: a new one)")
	from.completeNames(cmd)
	return cmd
}

// unanswered is an order of which nobody knows whether it was taken.
type unanswered struct {
	error
	key string
}

func (u unanswered) Error() string {
	return fmt.Sprintf("%s; it may have been taken: ask again with --key %s", u.error, u.key)
}
func (u unanswered) Unwrap() error { return u.error }

// show prints what an order became, when it is over if that is waited for.
func (a asking) show(d gitops.Delivery, w patience) error {
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
			p.line("", "%s in %s to %s: %s", u.App, u.Environment, u.Tag, p.outcome(u))
		}
		if len(d.Updates) == 0 {
			p.line("", "%s", d.Reason)
		}
		p.line("", "the whole story: tallyman explain %s", d.Key())
	})
	return errors.Join(err, end)
}

func (p *printer) outcome(u gitops.Update) string {
	text := p.paint(string(u.State), stateColours[string(u.State)])
	if detail := firstOf(u.Commit, u.Reason); detail != "" {
		text += " (" + detail + ")"
	}
	return text
}

// await waits until an update has ended and tells on standard error how it goes.
// What ended otherwise than on origin is an error. A signal ends the waiting, not
// the update: whoever sent it is still told where to look.
func (a asking) await(u gitops.Update, w patience) (gitops.Update, error) {
	unasked, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(unasked, w.timeout)
	defer cancel()
	tell := progress(a.ErrOrStderr())
	tell(u)
	u, err := a.server.Await(ctx, u, tell)
	switch {
	case err != nil && unasked.Err() != nil:
		return u, ended{u, exitPending, "nobody waits for it any more; it is still pending" + because(u)}
	case err != nil && ctx.Err() != nil:
		return u, ended{u, exitPending, fmt.Sprintf("after %s it is still pending%s", w.timeout, because(u))}
	case err != nil:
		return u, err
	case u.State == gitops.Committed || u.State == gitops.Unchanged:
		return u, nil
	}
	return u, ended{u, exitNotWritten, fmt.Sprintf("it was not written: %s%s", u.State, because(u))}
}

func because(u gitops.Update) string {
	if u.Reason == "" {
		return ""
	}
	return ": " + u.Reason
}

// ended is how an update stands that is not on origin.
type ended struct {
	update gitops.Update
	code   int
	text   string
}

func (e ended) exit() int { return e.code }

func (e ended) Error() string {
	return fmt.Sprintf("%s in %s to %s: %s", e.update.App, e.update.Environment, e.update.Tag, e.text)
}

// progress tells each thing once. The end is told with the result.
func progress(out io.Writer) func(gitops.Update) {
	var last string
	return func(u gitops.Update) {
		if u.State != gitops.Pending {
			return
		}
		text := fmt.Sprintf("%s in %s to %s: %s%s", u.App, u.Environment, u.Tag, u.State, because(u))
		if text != last {
			last = text
			fmt.Fprintln(out, printable(text))
		}
	}
}

func newRetry() *cobra.Command {
	var from remote
	var w patience
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Have a failed update tried again, once its cause is mended",
		Long: `Makes a failed update pending again; it keeps its place in the order. It is refused
when a later update of the same app in the same environment is there: an old release
must not overwrite a newer one. The token needs the right "retry".`,
		Example: "  tallyman updates --state failed\n  tallyman retry 019a1f2e-7c1b-7000-8000-0242ac120002 --wait",
		Args:    exactly("ID"),
		RunE: from.run(func(a asking, args []string) error {
			u, err := a.server.Retry(a.Context(), args[0])
			if gitops.CodeOf(err) == gitops.NotFound {
				return gitops.Errorf(gitops.NotFound, "there is no update %s. A delivery's id is not an update's: tallyman updates --state failed lists those that can be tried again", args[0])
			} else if err != nil {
				return err
			}
			return a.show(gitops.Delivery{Source: u.Delivery.Source, ID: u.Delivery.ID, Updates: []gitops.Update{u}}, w)
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from.flags(cmd)
	w.flags(cmd)
	return cmd
}
