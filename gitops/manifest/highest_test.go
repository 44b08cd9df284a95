package manifest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// pushedAt is a push of shop to prod whose event happened so long ago, and which was
// accepted now.
func (o *origin) pushedAt(tag string, ago time.Duration) gitops.Update {
	u := o.dated("shop", tag, ago)
	u.OnlyUp = true
	o.updates[u.ID] = u
	return u
}

// A push that came late is written over one of a lower version that happened after it,
// and not over one of the same version, nor over an order.
func TestALatePushIsComparedWithPushesByVersion(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for name, c := range map[string]struct {
			before func(*origin) gitops.Update
			ends   string
		}{
			"a lower version was pushed after it":     {func(o *origin) gitops.Update { return o.pushedAt("1.9.5", time.Hour) }, "commit"},
			"the same version was pushed before it":   {func(o *origin) gitops.Update { return o.pushedAt("v2.0.0", 3*time.Hour) }, "commit"},
			"the same version was pushed after it":    {func(o *origin) gitops.Update { return o.pushedAt("v2.0.0", time.Hour) }, "a newer release"},
			"a higher version was pushed after it":    {func(o *origin) gitops.Update { return o.pushedAt("2.0.1", time.Hour) }, "a newer release"},
			"a higher version was pushed before it":   {func(o *origin) gitops.Update { return o.pushedAt("2.0.1", 3*time.Hour) }, "2.0.0 is lower than 2.0.1"},
			"an order was accepted after it":          {func(o *origin) gitops.Update { return o.update("prod", "shop", "1.9.0") }, "a newer release"},
			"an order that happened before it":        {func(o *origin) gitops.Update { return o.dated("shop", "1.9.0", 3*time.Hour) }, "commit"},
			"an order that happened after it by then": {func(o *origin) gitops.Update { return o.dated("shop", "1.9.0", time.Hour) }, "a newer release"},
		} {
			t.Run(name, func(t *testing.T) {
				o := newOrigin(t)
				before := c.before(o)
				before.AcceptedAt = before.AcceptedAt.Add(-time.Second)
				o.updates[before.ID] = before
				o.check(o.write(o.writer(readsTags(t)), before)...)
				settled := o.write(o.writer(readsTags(t)), o.pushedAt("2.0.0", 2*time.Hour)) // by a process that knows the branch alone
				o.check(settled...)
				if got := ends(settled)[0]; got != c.ends && !strings.Contains(got, c.ends) {
					t.Errorf("it ends as %s, want %s", got, c.ends)
				}
			})
		}
	})
}

// The lower version waits when the higher one arrives, and goes out before it.
func TestBothPushesThatWaitAreWrittenInTheirOrder(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	settled := o.write(o.writer(readsTags(t)), o.pushedAt("1.9.5", time.Hour), o.pushedAt("2.0.0", 2*time.Hour))
	o.check(settled...)
	if diff := cmp.Diff([]string{"commit", "commit"}, ends(settled)); diff != "" {
		t.Error(diff)
	}
	if file := o.git("show", "main:"+testFile("prod", "shop")); !strings.Contains(file, "2.0.0") {
		t.Errorf("the file says\n%s", file)
	}
}
