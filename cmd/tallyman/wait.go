package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// await waits until updates of one delivery have come so far as is wanted, brings each up
// to date in its place, and prints their progress on standard error. What is not committed
// then is an error. A signal ends the waiting, not the updates: the caller still prints
// where to look.
func (a apiRun) await(updates []gitops.Update, w waitFlags) error {
	unasked, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(unasked, w.timeout)
	defer cancel()
	shown := newProgress(a.ErrOrStderr(), a.print, w.until, updates, a.outagesOf(ctx, updates))
	defer a.followOutages(ctx, shown)()
	err := a.server.Await(ctx, updates, w.until.reached, shown.setUpdate)
	if err != nil && ctx.Err() == nil {
		return err
	}
	// The outages are asked for after an interrupt, too, which ends another context.
	return a.missing(updates, a.outagesOf(a.Context(), updates), w, unasked.Err() != nil)
}

// missing is the error of the updates that are not committed.
func (a apiRun) missing(updates []gitops.Update, outages map[string]*api.Outage, w waitFlags, interrupted bool) error {
	var missing []notCommitted
	for _, u := range updates {
		switch cause := a.cause(u, outages); {
		case u.State.Written():
		case u.State.Final():
			missing = append(missing, notCommitted{u, exitEnded, fmt.Sprintf("not committed: %s%s", u.State, cause)})
		case w.until.reached(u.State):
			missing = append(missing, notCommitted{u, exitProposed, fmt.Sprintf("not committed yet: %s%s. To wait for the merge: --wait=committed", u.State, cause)})
		default:
			missing = append(missing, notCommitted{u, exitPending, w.late(u.State, interrupted) + cause})
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case len(updates) == 1:
		return missing[0]
	}
	return someNotCommitted{missing, len(updates)}
}

// cause says why an update is not committed, as far as the server says, to follow a
// state.
func (a apiRun) cause(u gitops.Update, outages map[string]*api.Outage) string {
	reason := firstOf(a.print.proposedText(u), u.Reason, a.print.holdText(u))
	if outage := outages[targetOf(u)]; reason == "" && outage != nil && u.State == gitops.Pending {
		reason = outage.Text()
	}
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// targetOf is the app and the environment of an update.
func targetOf(u gitops.Update) string { return u.Environment + "/" + u.App }

// outagesOf asks for the outages that the updates wait for, by target, where one of them
// is pending.
func (a apiRun) outagesOf(ctx context.Context, updates []gitops.Update) map[string]*api.Outage {
	outages := make(map[string]*api.Outage)
	if slices.ContainsFunc(updates, func(u gitops.Update) bool { return u.State == gitops.Pending }) {
		environments := a.environments(ctx)
		for _, u := range updates {
			if o := environments[u.Environment].OutageOf(u.App); o != nil {
				outages[targetOf(u)] = o
			}
		}
	}
	return outages
}

// environments asks for all environments, by name: nothing is known when the server does
// not say.
func (a apiRun) environments(ctx context.Context) map[string]api.Environment {
	byName := make(map[string]api.Environment)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now, err := a.server.Environments(ctx)
	if err != nil {
		return byName
	}
	for _, e := range now.Environments {
		byName[e.Name] = e
	}
	return byName
}

// notCommitted is an update that ended without a commit, or has not ended.
type notCommitted struct {
	update gitops.Update
	code   int
	text   string
}

func (e notCommitted) exit() int { return e.code }

func (e notCommitted) Error() string { return title(e.update) + ": " + e.text }

// someNotCommitted are those of several updates.
type someNotCommitted struct {
	missing []notCommitted
	of      int
}

// exit says that one has ended, if one has: another try of the command does not help it.
// Else it says that one is late, if one is.
func (e someNotCommitted) exit() int {
	for _, code := range []int{exitEnded, exitPending} {
		if slices.ContainsFunc(e.missing, func(m notCommitted) bool { return m.code == code }) {
			return code
		}
	}
	return exitProposed
}

func (e someNotCommitted) Error() string {
	return fmt.Sprintf("%d of %d updates are not committed. The first: %v", len(e.missing), e.of, e.missing[0])
}
