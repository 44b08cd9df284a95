package simulation

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/topic"
)

// How a replica opens pull requests, wired as package server wires it.

// proposalProfile is what is there of pull requests in a schedule.
type proposalProfile struct {
	environment string // that is written by pull request; "" for none
	merge       proposals.Merge
	rules       proposals.Rules
	squashes    squashText
	acts        int  // of people about pull requests
	outages     int  // times at which the forge does not answer
	stale       bool // the forge does not tell the commit that a merge made
}

// squashText is what a person's squash says.
type squashText int

const (
	squashBody   squashText = iota // the pull request's title and text
	squashCommit                   // the messages of its commits
	squashBlank                    // the title
)

func drawProposals(r *rand.Rand, poisons int) proposalProfile {
	p := proposalProfile{
		environment: one(r, "", "dev", "staging", "prod"), merge: one(r, proposals.MergePerson, proposals.MergeAuto),
		squashes: one(r, squashBody, squashCommit, squashBlank), acts: 2 + r.IntN(25), outages: one(r, 0, 0, 1, 3), stale: r.IntN(4) == 0,
	}
	p.rules = proposals.Rules{
		Strict: r.IntN(5) == 0, Queue: r.IntN(5) == 0, DismissStale: r.IntN(2) == 0, AutoMerge: true,
		Methods: []string{"merge", "squash", "rebase"},
	}
	p.rules.Protected = p.rules.Strict || p.rules.Queue || r.IntN(2) == 0
	if poisons > 0 { // what kills is played by itself
		p.environment = ""
	}
	return p
}

// proposes reports whether an environment is written by pull request.
func (w *world) proposes(environment string) bool {
	return environment != "" && w.proposing.environment == environment
}

// newProposals are the replica's, nil where nothing is written by pull request.
func (r *replica) newProposals(keys []gitops.ProofKey) *proposalsLink {
	if r.proposing.environment == "" {
		return nil
	}
	remote := must(git.NewRemote(git.Config{URL: manifestsURL, Transport: networkLink{r, " of topics"}, Now: r.now}))
	branches := must(topic.New(topic.Config{
		Remote: git.NewBreaker(r.now).Guard(remote), Branch: "main", View: r.writer.ViewAt, Target: r.world.target,
		Guard: edit.Unguarded{}, Prover: proof.New(keys...), Author: git.Signature{Name: "tallyman[bot]", Email: "bot@example.com"},
		Subject: "", Logger: silent, Now: r.now, Limits: topic.Limits{Memory: func() int64 { return 64 << 20 }},
	}))
	rooms := proposals.NewRooms()
	rooms.Configure(func(string, string) string { return "manifests" }, map[string]proposals.Config{"manifests": {
		Branches: branches, Forge: &forgeLink{replica: r}, Gate: r.askBeforeProposal, Logger: silent, Now: r.now, Jitter: r.jitter,
		Environment: func(string) proposals.Environment {
			return proposals.Environment{Merge: r.proposing.merge, Labels: []string{"release"}}
		},
	}})
	return &proposalsLink{Rooms: rooms, branches: branches, of: r}
}

// proposalsLink are a replica's pull requests as its lanes know them. They hear of changes
// where they hear of updates, as they do of images.
type proposalsLink struct {
	*proposals.Rooms
	branches *topic.Branches
	of       *replica
}

func (l *proposalsLink) Changed(environment string) <-chan struct{} {
	return l.of.store.Wake(environment)
}

// Want tells the checker what the room knows from now on.
func (l *proposalsLink) Want(environment string, wishes []gitops.ProposalWish) {
	for _, w := range wishes {
		l.of.tell("%s wants %s of %s: held %v, close %q", l.of.name, w.Update.ID, w.Update.App, w.Held, w.Close)
	}
	l.of.check.wanted(l.of.name, wishes)
	l.Rooms.Want(environment, wishes)
}

func (l *proposalsLink) Results(environment string) []gitops.ProposalResult {
	results := l.Rooms.Results(environment)
	for _, r := range results {
		switch {
		case r.Transition != nil:
			l.of.tell("%s: result %s %s %s", l.of.name, r.Update, r.Transition.Action, r.Transition.Reason)
		case r.Blocked != nil:
			l.of.tell("%s: result %s blocked: %s", l.of.name, r.Update, r.Blocked.Reason)
		}
	}
	return results
}

// Look does nothing: whether a lane takes what wakes it for a hint is not drawn. The rooms hear
// from the forge directly.
func (*proposalsLink) Look(string) {}

func (l *proposalsLink) Leave(environment string) {
	l.of.check.wanted(l.of.name, nil)
	l.Rooms.Leave(environment)
}

// relay tells one lane until the process is gone.
func (l *proposalsLink) relay(environment string) {
	pauses := l.of.chance.of(l.of.name + "/proposed " + environment)
	for {
		select {
		case <-l.Rooms.Changed(environment):
		case <-l.of.dead:
			return
		}
		if !l.of.wait(context.Background(), between(pauses, time.Microsecond, time.Millisecond)) {
			return
		}
		l.of.store.notifier.Wake(environment)
	}
}

func (l *proposalsLink) Close() {
	l.Rooms.Close()
	l.branches.Close()
}
