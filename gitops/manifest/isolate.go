package manifest

import (
	"errors"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// The server rejects a push as a whole: because of one file that the bot may not
// change, a freeze of one environment, its size, or a protected branch. What is
// rejected alone must not hold up the rest; and a branch that takes nothing is one
// outage, not a refusal of each update.

// rejection is the update of an environment that was refused last. It is forgotten
// when something lands there.
type rejection struct {
	app string
	why error
}

// samples is how many updates are pushed alone before a rejected push is taken apart.
const samples = 3

// isolate finds out which of the items of a rejected push are rejected, and brings
// the rest onto the branch: by environment, app and update, a half at a time. Each
// step is a push like any other. Its error is for the items that are not answered.
func (a *actor) isolate(t *turn, items []*item, why error) error {
	var writes, searches []*item
	for _, i := range items {
		if i.search {
			searches = append(searches, i)
		} else {
			writes = append(writes, i)
		}
	}
	err := a.isolateEnvironments(t, grouped(writes, func(u gitops.Update) string { return u.Environment }), why)
	if err != nil || len(searches) == 0 {
		return err
	}
	return a.write(t, searches)
}

// isolateEnvironments takes apart what is of several environments.
func (a *actor) isolateEnvironments(t *turn, environments [][]*item, why error) error {
	if len(environments) > 1 {
		if all, err := a.allRejected(t, environments, why); all {
			return why
		} else if err != nil {
			return err
		}
	}
	return a.halve(t, environments, why, func(items []*item, why error) error {
		return a.isolateApps(t, grouped(items, func(u gitops.Update) string { return u.App }), why)
	})
}

// isolateApps takes apart what is of one environment. When the server takes none of
// its apps, that is an outage of the environment alone.
func (a *actor) isolateApps(t *turn, apps [][]*item, why error) error {
	first := apps[0][0].update
	all, err := false, error(nil)
	if len(apps) > 1 {
		all, err = a.allRejected(t, apps, why)
	} else if last, known := a.rejected[first.Environment]; known && last.app != first.App && sameReason(last.why, why) {
		all = true // with one app there is nothing to compare with but the one before
	}
	switch {
	case all:
		a.queue.finish(slices.Concat(apps...), why)
		return nil
	case err != nil:
		return err
	}
	return a.halve(t, apps, why, func(items []*item, why error) error {
		return a.halve(t, grouped(items, func(u gitops.Update) string { return u.ID }), why, a.refuse)
	})
}

// allRejected pushes an update of some of the groups alone. It reports true when the
// server rejects each of them for the same reason as all; one that is held by now, or
// that a person's edit keeps, is not pushed, and tells nothing. That may be wrong while most
// updates are rejected and a few are not; because the groups are drawn, those are found the
// next time or the time after.
func (a *actor) allRejected(t *turn, groups [][]*item, why error) (all bool, err error) {
	groups = slices.Clone(groups)
	rejections := make(map[*item]error)
	all = true
	for n := 0; all && n < min(samples, len(groups)); n++ {
		drawn := n + int(a.config.Jitter(time.Duration(len(groups)-n)))
		groups[n], groups[drawn] = groups[drawn], groups[n]
		err := a.spend(t, groups[n][:1], why)
		if err != nil && !isRejection(err) {
			return false, err
		}
		kept := groups[n][0].held.Update != "" || groups[n][0].edit.Update != ""
		if all = err == nil && kept || err != nil && sameReason(err, why); err != nil {
			rejections[groups[n][0]] = err
		}
	}
	if !all {
		for _, g := range groups {
			if err, rejected := rejections[g[0]]; rejected {
				_ = a.refuse(g[:1], err) // it has no error to give
			}
		}
	}
	return all && len(rejections) > 0, nil
}

// halve pushes each half of the groups, and what is rejected of it again in halves.
// A group that is rejected alone is the leaf's.
func (a *actor) halve(t *turn, groups [][]*item, why error, leaf func([]*item, error) error) error {
	left := slices.DeleteFunc(slices.Clone(groups), func(g []*item) bool { return len(unanswered(g)) == 0 })
	if len(left) < len(groups) { // it was rejected together with what is answered by now
		if why = a.spend(t, unanswered(slices.Concat(left...)), why); !isRejection(why) {
			return why
		}
	}
	if groups = left; len(groups) == 1 {
		return leaf(unanswered(groups[0]), why)
	}
	for _, half := range [][][]*item{groups[:len(groups)/2], groups[len(groups)/2:]} {
		err := a.spend(t, unanswered(slices.Concat(half...)), why)
		if isRejection(err) {
			err = a.halve(t, half, err, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// spend pushes a part of a rejected push, as long as the turn has pushes for that.
// Without one its error says what was rejected, and that of nothing in particular.
func (a *actor) spend(t *turn, items []*item, why error) error {
	if t.pushes == 0 || t.over() {
		return errors.Unwrap(why)
	}
	t.pushes--
	return a.write(t, items)
}

// sameReason reports whether the server rejected two pushes with the same words.
func sameReason(a, b error) bool { return git.SameReason(gitops.PublicOf(a), gitops.PublicOf(b)) }

// refuse answers items that the server rejects alone.
func (a *actor) refuse(items []*item, why error) error {
	code := gitops.Rejected
	if gitops.CodeOf(why) == gitops.TooLarge {
		code = gitops.TooLarge
	}
	for _, i := range items {
		a.config.Logger.Warn("update rejected by the git server", "update", i.update.ID, "environment", i.update.Environment, "app", i.update.App, "error", why)
		a.rejected[i.update.Environment] = rejection{i.update.App, why}
		a.answer(i, answer{refusal: gitops.Refusal{Update: i.update.ID, Code: code, Reason: gitops.PublicOf(why)}})
	}
	return nil
}

// grouped puts items together that have the same key, in the order of the first.
func grouped(items []*item, key func(gitops.Update) string) (groups [][]*item) {
	at := make(map[string]int)
	for _, i := range items {
		k := key(i.update)
		n, known := at[k]
		if !known {
			n = len(groups)
			at[k] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}
