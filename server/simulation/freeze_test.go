package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"time"
)

// What the git server refuses for a while.

// freeze is a file that a hook lets nobody change.
type freeze struct {
	release
	until time.Time
}

// limit is how many commits a push may have.
type limit struct {
	commits int
	until   time.Time
}

// freeze has a hook refuse an app's file.
func (o *origin) freeze(r release, lasts time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frozen = freeze{r, time.Now().Add(lasts)}
}

// narrow has the server answer 413 to a push with more than so many commits.
func (o *origin) narrow(commits int, lasts time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = limit{commits, time.Now().Add(lasts)}
}

// thaw ends what is refused, but for what lasts longer than until the given time.
func (o *origin) thaw(before time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.frozen.until.Before(before) {
		o.frozen = freeze{}
	}
	o.limit = limit{}
}

// refuses is what a hook says of a push; "" is nothing. The lock is held.
func (o *origin) refuses(from, to hash, fresh objects) string {
	if !time.Now().Before(o.frozen.until) || from != o.tip {
		return ""
	}
	paths, all := filesOf(o.frozen.environment, o.frozen.app), maps.Clone(o.all)
	path := paths[len(paths)-1]
	maps.Copy(all, fresh)
	if all.files(all[from].tree)[path] == all.files(all[to].tree)[path] {
		return ""
	}
	met.meet("a hook refused one app")
	return fmt.Sprintf("CODEOWNERS: %s may not be changed", path)
}

// tooLarge reports whether the server answers 413. The lock is held.
func (o *origin) tooLarge(fresh objects) bool {
	if !time.Now().Before(o.limit.until) {
		return false
	}
	commits := 0
	for _, object := range fresh {
		if len(object.parents) > 0 {
			commits++
		}
	}
	if commits <= o.limit.commits {
		return false
	}
	met.meet("a push was too large")
	return true
}

// refusal draws what the git server refuses for a while.
func (w *world) refusal(r *rand.Rand) {
	lasts := between(r, time.Second, 90*time.Second)
	if r.IntN(3) == 0 {
		w.tell("the git server takes few commits at once")
		w.origin.narrow(1+r.IntN(3), lasts)
		return
	}
	frozen := release{one(r, environments...), one(r, apps...)}
	w.tell("%s in %s is frozen", frozen.app, frozen.environment)
	w.origin.freeze(frozen, lasts)
}
