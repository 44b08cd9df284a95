package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// await waits until an update has ended and prints its progress on standard error.
// An end without a commit is an error. A signal ends the waiting, not the update:
// the caller still prints where to look.
func (a apiRun) await(u gitops.Update, w waitFlags) (gitops.Update, error) {
	unasked, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(unasked, w.timeout)
	defer cancel()
	show := a.progress(a.ErrOrStderr())
	show(u)
	u, err := a.server.Await(ctx, u, show)
	switch {
	case err != nil && unasked.Err() != nil:
		return u, notCommitted{u, exitPending, "interrupted; still pending" + a.cause(u)}
	case err != nil && ctx.Err() != nil:
		return u, notCommitted{u, exitPending, fmt.Sprintf("still pending after %s%s", w.timeout, a.cause(u))}
	case err != nil:
		return u, err
	case u.State.Written():
		return u, nil
	}
	return u, notCommitted{u, exitEnded, fmt.Sprintf("not committed: %s%s", u.State, a.cause(u))}
}

// cause says why an update is not committed, as far as the server says, to follow a
// state.
func (a apiRun) cause(u gitops.Update) string {
	reason := firstOf(u.Reason, a.print.holdText(u))
	if reason == "" && u.State == gitops.Pending {
		if outage := a.outageOf(u); outage != nil {
			reason = outage.Reason
		}
	}
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// outageOf asks for the outage of a pending update's lane: nil when there is none,
// and when the server does not say. It asks also after the command was interrupted.
func (a apiRun) outageOf(u gitops.Update) *api.Outage {
	if u.State != gitops.Pending {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), 5*time.Second)
	defer cancel()
	now, err := a.server.Environments(ctx)
	if err != nil {
		return nil
	}
	for _, e := range now.Environments {
		if e.Name == u.Environment {
			return e.Lane.Outage
		}
	}
	return nil
}

// notCommitted is an update that ended without a commit, or has not ended.
type notCommitted struct {
	update gitops.Update
	code   int
	text   string
}

func (e notCommitted) exit() int { return e.code }

func (e notCommitted) Error() string { return title(e.update) + ": " + e.text }

// progress prints each thing once while the update is open. The end is printed with
// the result.
func (a apiRun) progress(out io.Writer) func(gitops.Update) {
	var last string
	return func(u gitops.Update) {
		if u.State.Final() {
			return
		}
		text := fmt.Sprintf("%s: %s", title(u), u.State)
		if hold := a.print.holdText(u); hold != "" {
			text += ": " + hold
		}
		if text != last {
			last = text
			fmt.Fprintln(out, printable(text))
		}
	}
}
