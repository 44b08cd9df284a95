package lane_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// forge is a site whose pull requests are followed by what follows them in service, at a forge
// that is strict.
type forge struct {
	*site
	world *proposalstest.World
	room  *proposals.Room
}

// atForge runs a script where dev has api, web and job at 0 and merges by itself what nothing
// holds, where that is asked for.
func atForge(t *testing.T, merge proposals.Merge, script func(t *testing.T, f *forge)) {
	t.Helper()
	inBubble(t, func(t *testing.T, s *site) {
		f := &forge{site: s, world: proposalstest.New(map[string]string{"dev/api": "0", "dev/web": "0", "dev/job": "0"})}
		f.start(merge)
		script(t, f)
		f.stop()
		if found := f.world.Check(); len(found) > 0 {
			t.Errorf("what must not be: %q", found)
		}
	})
}

// start begins a process.
func (f *forge) start(merge proposals.Merge) {
	process := f.world.Process()
	f.room = proposals.New(proposals.Config{
		Repository: "shop", Branches: process.Branches(), Forge: process.Forge(),
		Environment: func(string) proposals.Environment { return proposals.Environment{Merge: merge} },
		Logger:      slog.New(slog.NewTextHandler(f.t.Output(), nil)),
	})
	f.Replica = f.with(lane.Config{
		Environments: []lane.Environment{{Name: "dev", PullRequest: true, RespectHandEdits: true}}, Proposals: f.room,
	})
	f.Start()
}

func (f *forge) stop() {
	f.Stop(f.t.Context())
	f.room.Close()
}

// From the acceptance to the merge, and to the close by a person, which counts for its tag.
func TestPullRequestsAreOpenedMergedAndClosed(t *testing.T) {
	atForge(t, proposals.MergePerson, func(t *testing.T, f *forge) {
		f.accept("api 1", "web 1")
		elapse(10 * time.Second)
		equal(t, "happened", []string{"api 1 proposed", "web 1 proposed"}, f.sortedHappened())
		api, web := f.update("dev", "api 1").Proposal.Number, f.update("dev", "web 1").Proposal.Number
		f.world.Merge(api, "squash", "ann")
		f.world.Close(web, "bob")
		if err := f.queue.Nudge(t.Context(), []string{"dev"}); err != nil {
			t.Fatal(err)
		}
		elapse(10 * time.Second)
		equal(t, "happened at the forge", []string{"api 1 committed", "web 1 closed"}, f.sortedHappened())
		if u := f.update("dev", "api 1"); !f.world.OnBase(u.Commit) || u.Proposal.EndedBy != "ann" {
			t.Errorf("%s of %+v is not on the branch", u.Commit, u.Proposal)
		}
		f.acceptAgain("", "web 1")
		elapse(10 * time.Second)
		equal(t, "happened to the same tag", []string{"web 1 closed"}, f.happened())
		f.acceptAgain("token:ann", "web 1")
		elapse(10 * time.Second)
		equal(t, "happened to an order of it", []string{"web 1 proposed"}, f.happened())
		equal(t, "pull requests", 3, len(f.world.Pulls()))
	})
}

// A newer tag takes over the pull request; a cancellation closes it, and so does an
// environment that leaves.
func TestPullRequestsFollowWhatIsWanted(t *testing.T) {
	atForge(t, proposals.MergePerson, func(t *testing.T, f *forge) {
		f.accept("api 1", "web 1", "job 1")
		elapse(10 * time.Second)
		f.accept("api 2")
		f.decide(gitops.ActionCancel, "web 1")
		elapse(20 * time.Second)
		f.happened()
		equal(t, "states", []gitops.State{gitops.Superseded, gitops.Proposed, gitops.Cancelled, gitops.Proposed}, []gitops.State{
			f.update("dev", "api 1").State, f.update("dev", "api 2").State, f.update("dev", "web 1").State, f.update("dev", "job 1").State,
		})
		equal(t, "number of the newer one", f.update("dev", "api 1").Proposal.Number, f.update("dev", "api 2").Proposal.Number)
		_, tag := f.world.Topic("dev", "api")
		equal(t, "tag in the pull request", "2", tag)
		f.Configure(nil, nothing)
		elapse(time.Minute)
		equal(t, "happened when the environment left", []string{"api 2 cancelled", "job 1 cancelled"}, f.sortedHappened())
		for _, p := range f.world.Pulls() {
			equal(t, "state of "+p.Branch, proposals.PullClosed, p.State)
		}
		equal(t, "holder", "", f.backlog().Holder)
	})
}

// A tag that is set by hand on the branch closes the pull request and is pinned.
func TestAnEditByHandClosesThePullRequest(t *testing.T) {
	atForge(t, proposals.MergePerson, func(t *testing.T, f *forge) {
		f.holds.pins()
		f.accept("api 1")
		elapse(10 * time.Second)
		f.world.Merge(1, "squash", "ann")
		elapse(5 * time.Minute) // without an event
		f.accept("api 2")
		elapse(10 * time.Second)
		f.world.EditBase("dev", "api", "9", "ann")
		elapse(5 * time.Minute)
		f.accept("api 3")
		elapse(time.Minute)
		equal(t, "happened", []string{"api 1 proposed", "api 1 committed", "api 2 proposed", "api 2 superseded", "api 3 pin"}, f.happened())
		equal(t, "state of the pull request", proposals.PullClosed, f.world.Pulls()[1].State)
		equal(t, "pull requests", 2, len(f.world.Pulls()))
	})
}

// What is held is not merged: a hold that comes takes back that the forge merges it, and its
// end has it merged.
func TestHoldsKeepTheForgeFromMerging(t *testing.T) {
	atForge(t, proposals.MergeAuto, func(t *testing.T, f *forge) {
		f.world.Set(func(w *proposalstest.World) { w.Rules.AutoMerge, w.Rules.Protected = true, true })
		f.accept("api 1")
		elapse(20 * time.Second)
		number := f.update("dev", "api 1").Proposal.Number
		equal(t, "armed", true, f.world.Pulls()[0].Armed)
		f.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
		elapse(15 * time.Second)
		equal(t, "armed under a freeze", false, f.world.Pulls()[0].Armed)
		f.world.Fulfil(number)
		elapse(time.Minute)
		equal(t, "happened under a freeze", []string{"api 1 proposed"}, f.happened())
		elapse(time.Hour)
		equal(t, "happened after it", []string{"api 1 committed"}, f.happened())
		equal(t, "commits", 1, f.world.Carried("dev", "api")["1"])
	})
}

// A process that loses the lane, and one that takes it over, end what was begun once; what was
// merged meanwhile is committed.
func TestPullRequestsOutliveTheirProcess(t *testing.T) {
	atForge(t, proposals.MergePerson, func(t *testing.T, f *forge) {
		f.accept("api 1", "web 1")
		elapse(10 * time.Second)
		f.accept("job 1")
		f.queue.KillHolder("us")
		f.stop() // before anything is known of it
		synctest.Wait()
		f.world.Merge(f.update("dev", "api 1").Proposal.Number, "rebase", "ann")
		f.happened()
		f.start(proposals.MergePerson)
		elapse(30 * time.Second)
		equal(t, "happened", []string{"api 1 committed", "job 1 proposed"}, f.sortedHappened())
		equal(t, "pull requests", 3, len(f.world.Pulls()))
		equal(t, "state of what stayed", gitops.Proposed, f.update("dev", "web 1").State)
	})
}
