package proposals_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// town is two manifest repositories, shop and pay, each with a world of its own.
type town struct {
	*testing.T
	rooms     *proposals.Rooms
	shop, pay *proposalstest.World
	configs   map[string]proposals.Config
	of        map[string]string
}

func inTown(t *testing.T, test func(s *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tags := map[string]string{"prod/api": "1.0.0", "prod/web": "1.0.0", "dev/api": "1.0.0"}
		s := &town{T: t, shop: proposalstest.New(tags), pay: proposalstest.New(tags), of: map[string]string{"api": "shop", "web": "pay"}}
		s.rooms = proposals.NewRooms()
		defer s.rooms.Close()
		shop, pay := s.shop.Process(), s.pay.Process()
		s.configs = map[string]proposals.Config{"shop": {Branches: shop.Branches(), Forge: shop.Forge()}, "pay": {Branches: pay.Branches(), Forge: pay.Forge()}}
		s.configure()
		test(s)
		for _, w := range []*proposalstest.World{s.shop, s.pay} {
			for _, violation := range w.Check() {
				t.Errorf("violation: %s", violation)
			}
		}
	})
}

func (s *town) configure() {
	s.rooms.Configure(func(_, app string) string { return s.of[app] }, s.configs)
}

func (s *town) wish(environment, app, id string) gitops.ProposalWish {
	return gitops.ProposalWish{Update: gitops.Update{ID: id, Environment: environment, App: app, Tag: "2.0.0", State: gitops.Pending, AcceptedAt: time.Now()}}
}

// results are those of an environment: "u1 propose".
func (s *town) results(environment string) (results []string) {
	time.Sleep(15 * time.Second)
	synctest.Wait()
	for _, r := range s.rooms.Results(environment) {
		switch {
		case r.Transition != nil:
			results = append(results, r.Update+" "+string(r.Transition.Action))
		case r.Blocked != nil:
			results = append(results, r.Update+" blocked: "+r.Blocked.Reason)
		}
	}
	slices.Sort(results)
	return results
}

func (s *town) wantResults(environment string, want ...string) {
	s.Helper()
	if got := s.results(environment); !slices.Equal(got, want) {
		s.Errorf("the results are %q, not %q", got, want)
	}
}

func TestRoomsOfSeveralRepositories(t *testing.T) {
	inTown(t, func(s *town) {
		changed := s.rooms.Changed("prod")
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1"), s.wish("prod", "web", "u2")})
		s.rooms.Want("dev", []gitops.ProposalWish{s.wish("dev", "api", "u3")})
		s.wantResults("prod", "u1 propose", "u2 propose")
		select {
		case <-changed:
		default:
			t.Error("nothing told of the results")
		}
		if len(s.shop.Pulls()) != 2 || len(s.pay.Pulls()) != 1 {
			t.Errorf("%d pull requests in shop, %d in pay", len(s.shop.Pulls()), len(s.pay.Pulls()))
		}
		s.pay.Merge(1, "squash", "bo")
		s.rooms.Look("prod")
		s.wantResults("prod", "u2 commit")
		s.wantResults("dev", "u3 propose")
	})
}

// One account's writes are spaced over all repositories.
func TestRoomsShareThePace(t *testing.T) {
	inTown(t, func(s *town) {
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1"), s.wish("prod", "web", "u2")})
		s.wantResults("prod", "u1 propose", "u2 propose")
		one, two := s.shop.Calls("create")[0].At, s.pay.Calls("create")[0].At
		if one.Sub(two).Abs() < time.Second {
			t.Errorf("created at %s and %s", one, two)
		}
	})
}

// A forge that is away holds up nothing of another repository.
func TestRoomsOutage(t *testing.T) {
	inTown(t, func(s *town) {
		for range 5 {
			s.shop.Fail("open", proposalstest.Fault{Err: gitops.Errorf(gitops.Unavailable, "the forge is down")})
		}
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1"), s.wish("prod", "web", "u2")})
		s.wantResults("prod", "u2 propose")
		if o := s.rooms.Away("prod"); o == nil || o.Repository != "shop" || !contains(o.Reason, "the forge is down") || !o.RetryAt.After(time.Now().Add(-time.Second)) {
			t.Errorf("the outage is %+v", o)
		}
		if o := s.rooms.Away("dev"); o != nil {
			t.Errorf("an environment that wants nothing there has the outage %+v", o)
		}
		s.shop.Calm()
		time.Sleep(2 * time.Minute)
		s.wantResults("prod", "u1 propose")
		if o := s.rooms.Away("prod"); o != nil {
			t.Errorf("the outage is %+v", o)
		}
	})
}

// A reload moves an app to another repository: its pull request is closed there and opened here,
// and no lane is told of the closing.
func TestReloadMovesAnApp(t *testing.T) {
	inTown(t, func(s *town) {
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
		s.wantResults("prod", "u1 propose")
		s.of["api"] = "pay"
		s.configure()
		s.wantResults("prod", "u1 propose")
		if a, b := s.shop.Pulls()[0], s.pay.Pulls()[0]; a.State != proposals.PullClosed || b.State != proposals.PullOpen {
			t.Errorf("in shop it is %s, in pay %s", a.State, b.State)
		}
	})
}

// A reload replaces what a repository is reached by: the wishes go on with that.
func TestReloadReplacesARoom(t *testing.T) {
	inTown(t, func(s *town) {
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
		s.wantResults("prod", "u1 propose")
		again := s.shop.Process()
		s.configs["shop"] = proposals.Config{Branches: again.Branches(), Forge: again.Forge()}
		s.configure()
		s.shop.Close(1, "bo")
		s.wantResults("prod", "u1 close")
	})
}

// A room that takes another's place knows also what was wished for before: an update whose pull
// request was merged while a newer one was wished for is committed, and no edit by hand.
func TestReloadReplacesARoomInBetween(t *testing.T) {
	inTown(t, func(s *town) {
		s.shop.Squash = proposalstest.SquashBlank
		first := s.wish("prod", "api", "u1")
		s.rooms.Want("prod", []gitops.ProposalWish{first})
		s.wantResults("prod", "u1 propose")
		p := s.shop.Pulls()[0]
		first.Update.State, first.Update.Proposal = gitops.Proposed, &gitops.Proposal{Number: p.Number, URL: p.URL, Head: p.Head.String()}
		s.rooms.Want("prod", []gitops.ProposalWish{first})
		s.wantResults("prod")
		s.shop.Merge(1, "squash", "bo")
		second := s.wish("prod", "api", "u2")
		second.Update.Tag, second.Update.Sequence, second.Expected = "3.0.0", 1, "1.0.0"
		s.rooms.Want("prod", []gitops.ProposalWish{second})
		again := s.shop.Process()
		s.configs["shop"] = proposals.Config{Branches: again.Branches(), Forge: again.Forge()}
		s.configure()
		s.wantResults("prod", "u1 commit", "u2 propose")
	})
}

// A reload changes who merges: what is open follows.
func TestReloadArms(t *testing.T) {
	inTown(t, func(s *town) {
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
		s.wantResults("prod", "u1 propose")
		c := s.configs["shop"]
		c.Environment = func(string) proposals.Environment { return proposals.Environment{Merge: proposals.MergeAuto} }
		s.configs["shop"] = c
		s.configure()
		s.wantResults("prod", "u1 commit")
	})
}

// Since a reload has people merge again, nothing is merged that was armed before.
func TestReloadDisarms(t *testing.T) {
	inTown(t, func(s *town) {
		s.shop.Set(protected)
		merges := func(who proposals.Merge) {
			c := s.configs["shop"]
			c.Environment = func(string) proposals.Environment { return proposals.Environment{Merge: who} }
			s.configs["shop"] = c
			s.configure()
		}
		merges(proposals.MergeAuto)
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
		s.wantResults("prod", "u1 propose")
		merges(proposals.MergePerson)
		s.wantResults("prod")
		s.shop.Fulfil(1)
		s.rooms.Look("prod")
		s.wantResults("prod")
	})
}

func TestNoRepository(t *testing.T) {
	inTown(t, func(s *town) {
		s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "other", "u1")})
		s.wantResults("prod", "u1 blocked: the manifest repository of other in prod has no forge where pull requests can be opened: configure credentials.githubApp for it")
		w := s.wish("prod", "other", "u1")
		w.Close = "it left the configuration"
		s.rooms.Want("prod", []gitops.ProposalWish{w})
		s.wantResults("prod", "u1 cancel")
	})
}

// After Leave nothing is done and nothing told; another term begins from nothing.
func TestLeave(t *testing.T) {
	for _, at := range []string{"look", "get"} {
		inTown(t, func(s *town) {
			s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
			s.wantResults("prod", "u1 propose")
			s.shop.Before(at, func() { s.rooms.Leave("prod") })
			s.shop.Merge(1, "squash", "bo")
			s.rooms.Look("prod")
			s.wantResults("prod")
			s.shop.Forget()
			time.Sleep(10 * time.Minute)
			if calls := s.shop.Calls(); len(calls) > 0 {
				t.Errorf("still asks: %v", calls)
			}
			s.rooms.Want("prod", []gitops.ProposalWish{s.wish("prod", "api", "u1")})
			s.wantResults("prod", "u1 commit")
		})
	}
}
