package lane_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// An environment whose updates are written pays nothing for those that are proposed elsewhere,
// but for one read when its lane is claimed.
func TestWhatIsWrittenCostsNoMore(t *testing.T) {
	counts := func(t *testing.T, c lane.Config) (calls map[string]int) {
		proposing(t, c, func(t *testing.T, s *site, p *fakeProposals) {
			for range 5 {
				s.accept("api 1")
			}
			s.Start()
			synctest.Wait()
			s.accept("api 2")
			elapse(16 * time.Minute)
			equal(t, "happened", []string{"api 1 committed", "api 2 committed"}, s.happened())
			equal(t, "wanted", []string(nil), p.asked())
			s.Stop(t.Context())
			calls = map[string]int{}
			for _, method := range []string{"Take", "Report", "Updates", "Update", "Heads", "Rejudge"} {
				calls[method] = s.queue.count(method)
			}
		})
		return calls
	}
	calls := counts(t, lane.Config{Environments: environments("dev")})
	equal(t, "reads of updates", 1, calls["Updates"])
	calls["Updates"] = 0
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.Start()
		synctest.Wait()
		s.accept("api 2")
		elapse(16 * time.Minute)
		s.Stop(t.Context())
		for method, n := range calls {
			equal(t, method, s.queue.count(method), n)
		}
	})
}

// An outage of the git server keeps what is looked for from being wanted, and nothing else.
func TestProposalsDuringAnOutage(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "job 1")
		s.writer.then(fails(&gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: 5 * time.Minute}))
		s.acceptAsOf(time.Now().Add(-time.Hour), "web 1") // which may have been written before
		synctest.Wait()
		equal(t, "writes", [][]string{{"? web 1"}}, s.writer.asked())
		s.holds.hold("api", gitops.BlockFreeze, time.Time{})
		elapse(5 * time.Second)
		equal(t, "wanted", []string{"api 1 held by freeze"}, p.asked())
		p.happens("job 1", gitops.ActionClose)
		s.accept("cron 1")
		elapse(2 * time.Second)
		equal(t, "happened meanwhile", []string{"job 1 closed", "cron 1 proposed"}, s.happened())
		if s.backlog().Outage == nil {
			t.Error("the outage is over")
		}
		elapse(5 * time.Minute)
		equal(t, "writes after it", [][]string{{"? web 1"}}, s.writer.asked())
		equal(t, "happened after it", []string{"web 1 proposed"}, s.happened())
		equal(t, "outage", (*queue.Outage)(nil), s.backlog().Outage)
		s.Stop(t.Context())
	})
}

// What fails by a configuration that has changed since is tried by the new one.
func TestAProposalThatFailsWhileTheConfigurationChanges(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "web 1")
		p.opensNothing()
		s.accept("api 1")
		synctest.Wait()
		fail := gitops.ProposalResult{Transition: &gitops.Transition{Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such key"}}
		s.Configure([]lane.Environment{pullRequest}, func() {
			p.result("api 1", fail)
			p.result("web 1", fail)
		})
		synctest.Wait()
		equal(t, "happened", []string(nil), s.happened())
		equal(t, "wanted", []string{"api 1", "api 1", "web 1"}, p.asked())
		p.result("api 1", fail)
		p.result("web 1", fail)
		synctest.Wait()
		equal(t, "happened then", []string{"api 1 failed", "web 1 failed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What was found of an image is told to Proposals, and kept with the proposed update.
func TestOnlyWhatHasItsImageIsProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.images.is(waiting(time.Time{}), "api 2")
		s.accept("api 1", "api 2")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 2 image", "api 1 proposed"}, s.happened())
		equal(t, "found", found("1"), s.update("dev", "api 1").Found)
		p.images.there("api 2")
		synctest.Wait()
		equal(t, "happened when it was there", []string{"api 2 proposed", "api 1 superseded"}, s.happened())
		equal(t, "found", found("2"), p.wishes["api"].Update.Found)
		s.Stop(t.Context())
	})
}

// A newer one that comes to be held before its pull request is there gives that of the older
// one back: a pin may want just this one.
func TestTheNewestIsHeldBehindWhatIsProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.accept("api 2")
		elapse(time.Second)
		s.holds.hold("api 2", gitops.BlockPin, time.Time{})
		elapse(10 * time.Second)
		equal(t, "wanted", []string{"api 2", "api 1"}, p.asked())
		equal(t, "happened", []string{"api 2 pin"}, s.happened())
		p.opensAgain()
		s.holds.free("api 2")
		elapse(10 * time.Second)
		equal(t, "wanted after it", []string{"api 2", "api 2"}, p.asked())
		equal(t, "happened after it", []string{"api 2 proposed", "api 1 superseded"}, s.happened())
		s.Stop(t.Context())
	})
}
