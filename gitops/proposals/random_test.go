package proposals_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// crowd is people, faults and crashes in any order.
type crowd struct {
	*site
	*rand.Rand
	tags int
}

// Whatever people do, between any two calls, and whatever fails: nothing is lost or doubled,
// no commit of others is overwritten, and at the end every state is correct.
func TestPeopleInAnyOrder(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(s *site) {
				c := &crowd{site: s, Rand: rand.New(rand.NewPCG(seed, 7))}
				s.w.Set(func(w *proposalstest.World) {
					w.Rules.Protected, w.Rules.Queue, w.Rules.Strict = c.IntN(2) == 0, c.IntN(4) == 0, c.IntN(4) == 0
					w.Squash, w.Stale = proposalstest.SquashText(c.IntN(3)), c.IntN(4) == 0
				})
				if c.IntN(3) == 0 {
					s.env.Merge = proposals.MergeAuto
				}
				for range 40 {
					c.act()
				}
				c.end()
			})
		})
	}
}

var calls = []string{"look", "topic", "build", "push", "delete", "pulls", "open", "get", "create", "edit", "close", "arm", "disarm"}

func (c *crowd) act() {
	switch c.IntN(10) {
	case 0, 1:
		c.order()
	case 2:
		c.w.Before(calls[c.IntN(len(calls))], c.person())
	case 3:
		errs := []error{gitops.Errorf(gitops.Unavailable, "down"), gitops.Errorf(gitops.Forbidden, "no"), gitops.Errorf(gitops.RateLimited, "slowly")}
		c.w.Fail(calls[c.IntN(len(calls))], proposalstest.Fault{Err: errs[c.IntN(len(errs))], Applied: c.IntN(2) == 0})
	case 4:
		c.p.DieAt(1+c.IntN(20), c.IntN(2) == 0)
	case 5:
		c.cancel()
	default:
		c.person()()
	}
	if c.IntN(3) == 0 {
		c.room.Look("prod")
	}
	time.Sleep(time.Duration(c.IntN(8000)) * time.Millisecond)
	synctest.Wait()
	if isDead(c.p) && c.IntN(2) == 0 {
		c.room.Results("prod") // they die with it
	}
	c.collect()
	if isDead(c.p) {
		c.restart()
	}
	c.wishAll(plain)
}

func (c *crowd) order() {
	c.tags++
	u := c.orderOf([]string{"api", "web"}[c.IntN(2)], fmt.Sprintf("2.%d.0", c.tags))
	for _, older := range c.updates { // the lane writes only the newest
		if older.App == u.App && older != u && older.State == gitops.Pending {
			older.State = gitops.Superseded
		}
	}
}

func (c *crowd) cancel() {
	for _, u := range c.updates {
		if !u.State.Final() && c.IntN(2) == 0 {
			u.CancelRequest = &gitops.CancelRequest{Actor: "ann"}
			return
		}
	}
}

// person draws something that a person may do, at any moment.
func (c *crowd) person() (do func()) {
	app := []string{"api", "web"}[c.IntN(2)]
	deed, method, tag, any, yes := c.IntN(12), []string{"merge", "squash", "rebase"}[c.IntN(3)], fmt.Sprint("3.", c.IntN(3)), c.IntN(100), c.IntN(2) == 0
	return func() {
		number := 1 + any%(len(c.w.Pulls())+1)
		switch deed {
		case 0, 1, 2:
			c.w.Merge(number, method, "bo")
		case 3:
			c.w.Close(number, "bo")
		case 4:
			c.w.PushOnto("prod", app, map[bool]string{true: "9.9.9"}[yes], "eve")
		case 5:
			c.w.DeleteBranch("prod", app, "bo")
		case 6:
			c.w.EditBase("prod", app, tag, "ann")
		case 7:
			c.w.EditBase("prod", "", "", "ann")
		case 8:
			c.w.Enqueue(number)
		case 9:
			c.w.Dequeue(number, yes)
		case 10:
			c.w.Fulfil(number)
		case 11:
			c.w.Force("prod", app, "8.8.8", "eve")
		}
	}
}

// end has everybody go home, and holds what is there to what was told.
func (c *crowd) end() {
	c.w.Calm()
	c.p.DieAt(0, false)
	if isDead(c.p) {
		c.restart()
	}
	for range 8 { // what was cancelled ends one by one, the newest of an app first
		c.wishAll(plain)
		c.after(10 * time.Minute)
	}
	open := map[string]proposals.Pull{}
	for _, p := range c.w.Pulls() {
		if p.State == proposals.PullOpen {
			open[p.Branch] = p
		}
	}
	for _, u := range c.updates {
		p, is := open[proposals.Branch("prod", u.App)]
		_, blocked := c.blocked[u.Tag]
		switch {
		case u.State == gitops.Pending && !blocked:
			c.Errorf("%s %s is pending, and nothing blocks it; reported %q", u.App, u.Tag, c.log)
		case u.State == gitops.Proposed && (!is || u.Proposal.Number != p.Number):
			c.Errorf("%s %s is proposed, and its pull request is not open: %+v; reported %q", u.App, u.Tag, u.Proposal, c.log)
		case u.State == gitops.Committed && !c.w.OnBase(u.Commit):
			c.Errorf("%s %s is committed, and %s is not on the base branch; reported %q", u.App, u.Tag, u.Commit, c.log)
		case u.State == gitops.Closed && !c.closedByPerson(u):
			c.Errorf("%s %s is closed, and no person closed it; reported %q", u.App, u.Tag, c.log)
		case u.State == gitops.Failed:
			c.Errorf("%s %s failed: %s", u.App, u.Tag, u.Reason)
		}
	}
	for _, p := range c.w.Pulls() {
		comments := c.w.Comments(p.Number)
		if slices.Sort(comments); len(slices.Compact(slices.Clone(comments))) != len(comments) {
			c.Errorf("#%d of %s has one comment twice: %q", p.Number, p.Branch, comments)
		}
	}
}

func (c *crowd) closedByPerson(u *gitops.Update) bool {
	return slices.ContainsFunc(c.w.Pulls(), func(p proposals.Pull) bool {
		return p.State == proposals.PullClosed && !p.ByUs && p.Branch == proposals.Branch("prod", u.App)
	})
}
