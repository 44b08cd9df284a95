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
// to date in its place, and prints their progress on standard error. What has not come so far
// then is an error. A signal ends the waiting, not the updates: the caller still prints
// where to look.
func (a apiRun) await(updates []gitops.Update, w waitFlags) error {
	unasked, stop := signal.NotifyContext(a.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(unasked, w.limit())
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

// missing is the error of the updates that have not come as far as was waited for.
func (a apiRun) missing(updates []gitops.Update, outages map[string]*api.Outage, w waitFlags, interrupted bool) error {
	var missing []fellShort
	for _, u := range updates {
		code, text := 0, ""
		switch cause := a.cause(u, outages); {
		case u.State.Written() && w.until == untilHealthy:
			code, text = a.notHealthy(u, w, interrupted)
		case u.State.Written():
		case u.State.Final():
			code, text = exitEnded, fmt.Sprintf("not committed: %s%s", u.State, cause)
		case w.until.reached(u):
			code, text = exitProposed, fmt.Sprintf("not committed yet: %s%s. To wait for the merge: --wait=committed", u.State, cause)
		default:
			code, text = exitPending, w.late(u.State, interrupted)+cause
		}
		if code != 0 {
			missing = append(missing, fellShort{u, code, text})
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case len(updates) == 1:
		return missing[0]
	}
	return someFellShort{missing, len(updates), w.until}
}

// notHealthy says of a written update why it is not known to run; the code is 0 where it is.
func (a apiRun) notHealthy(u gitops.Update, w waitFlags, interrupted bool) (code int, text string) {
	r := u.Rollout
	switch {
	case !isFollowed(u):
		return exitNotFollowed, fmt.Sprintf("%s, and nothing says whether it runs: updates of %s in %s are not followed to the cluster. Set environments.%[3]s.rollout.by, or wait with --wait=committed",
			u.State, u.App, u.Environment)
	case r == nil:
		return exitPending, w.late(u.State, interrupted) + "; it is not known yet whether it runs"
	case !r.State.Final():
		return exitPending, w.late(u.State, interrupted) + "; " + a.print.rolloutText(u)
	case r.State == gitops.RolloutHealthy:
		return 0, ""
	case r.State == gitops.RolloutUnmapped:
		return exitNotFollowed, fmt.Sprintf("%s, and nothing says whether it runs; %s", u.State, a.print.rolloutText(u))
	}
	return exitNotHealthy, fmt.Sprintf("%s, and does not run; %s", u.State, a.print.rolloutText(u))
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

// fellShort is an update that ended before it had come as far as was waited for, or has not
// come so far in time.
type fellShort struct {
	update gitops.Update
	code   int
	text   string
}

func (e fellShort) exit() int { return e.code }

func (e fellShort) Error() string { return title(e.update) + ": " + e.text }

// someFellShort are those of several updates.
type someFellShort struct {
	missing []fellShort
	of      int
	until   awaited
}

// exit says that one has ended, if one has: another try of the command does not help it.
// Else it says that one is late, if one is.
func (e someFellShort) exit() int {
	for _, code := range []int{exitEnded, exitNotHealthy, exitNotFollowed, exitPending} {
		if slices.ContainsFunc(e.missing, func(m fellShort) bool { return m.code == code }) {
			return code
		}
	}
	return exitProposed
}

func (e someFellShort) Error() string {
	what := "committed"
	if e.until == untilHealthy {
		what = "known to run"
	}
	return fmt.Sprintf("%d of %d updates are not %s. The first: %v", len(e.missing), e.of, what, e.missing[0])
}
