package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

const (
	pullURL  = "https://github.com/shop/manifests/pull/7"
	pullHead = "c0ffee0000000000000000000000000000000000"
)

// proposedUpdate is in a pull request that is open for three hours at noon.
func proposedUpdate(edit func(u *gitops.Update)) gitops.Update {
	u := gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, AcceptedAt: noon, Environment: "prod", App: "api", Tag: "1.4.0", State: gitops.Proposed,
		Proposal: &gitops.Proposal{Number: 7, URL: pullURL, Head: pullHead, OpenedAt: noon.Add(-3 * time.Hour), WaitsFor: []string{"a review is required", "the merge queue"}}}
	edit(&u)
	return u
}

func asItIs(*gitops.Update) {}

func edited(u gitops.Update, edit func(u *gitops.Update)) gitops.Update {
	edit(&u)
	return u
}

// ended is the update when its pull request has ended.
func ended(state gitops.State, by string) gitops.Update {
	return proposedUpdate(func(u *gitops.Update) {
		u.State, u.Proposal.WaitsFor, u.Proposal.EndedBy, u.Proposal.EndedAt = state, nil, by, noon
	})
}

// explain shows of a pull request its address, its age, its head and everything that it waits
// for; of one that has ended who ended it, and of one that was closed the way out.
func TestExplainShowsThePullRequest(t *testing.T) {
	opened := "  Pull request 7: " + pullURL + "\n    opened 2026-01-02 09:00:00 UTC (3h ago), its head is " + pullHead + "\n"
	was := strings.Replace(opened, " (3h ago)", "", 1)
	proposed := "  Proposed: committed when its pull request is merged. Everything that keeps it: tallyman why api --env prod\n"
	cancel := []gitops.PossibleDecision{{Action: gitops.ActionCancel}}
	for name, c := range map[string]struct {
		update gitops.Update
		want   string
	}{
		"open": {proposedUpdate(func(u *gitops.Update) { u.Decisions = cancel }),
			opened + "    - a review is required\n    - the merge queue\n" + proposed + "  To give it up, and have its pull request closed: tallyman cancel u1\n"},
		"nothing is missing": {proposedUpdate(func(u *gitops.Update) { u.Proposal.WaitsFor = nil }), opened + "    - it waits for a merge\n" + proposed},
		"cancelled by a person": {proposedUpdate(func(u *gitops.Update) {
			u.Proposal.WaitsFor, u.CancelRequest = nil, &gitops.CancelRequest{Actor: "token:ops", Reason: "a wrong build"}
			u.Steps = []gitops.Step{{At: noon, Attempts: 1, State: gitops.Proposed}, {At: noon, State: gitops.Proposed, Actor: "token:ops", Reason: "a wrong build"}}
		}), "  2026-01-02 12:00:00  proposed\n  2026-01-02 12:00:00  cancellation requested by token:ops: a wrong build\n" + opened +
			"    cancellation requested by token:ops: a wrong build: it is being closed\n    - it waits for a merge\n" + proposed},
		"merged": {ended(gitops.Committed, "ann"), was + "    merged by ann at 2026-01-02 12:00:00 UTC\n  Committed. Argo CD syncs it from the branch\n"},
		"merged by a squash, which has no proof": {edited(ended(gitops.Committed, "ann"), func(u *gitops.Update) { u.Commit = "c1a1m" }), was + "    merged by ann at 2026-01-02 12:00:00 UTC\n" +
			"  The commit is what pull request 7 was merged as; its author is Eve <eve@example.com>\n  api.yaml: the commit made or removed the whole file\n  Committed. Argo CD syncs it from the branch\n"},
		"closed, the forge does not say by whom": {ended(gitops.Closed, ""), was + "    closed at 2026-01-02 12:00:00 UTC\n  Closed: a person closed its pull request\n" +
			"  To have it proposed again, order it by name: tallyman update api 1.4.0 --env prod\n"},
		"taken over by a newer tag": {proposedUpdate(func(u *gitops.Update) { u.State, u.Reason = gitops.Superseded, "superseded by 1.4.1 (update u2)" }),
			was + "  Superseded by 1.4.1 (update u2)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := "api in prod to 1.4.0: " + string(c.update.State) + "\n  Update u1\n  2026-01-02 12:00:00  accepted\n" + c.want
			if diff := cmp.Diff(want, printed(false, func(p *printer) { p.explainUpdate(c.update, details{commit: commitOf}) })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each command that shows an update says where its pull request is, and status how many are
// open and since when.
func TestWhatIsProposedIsShown(t *testing.T) {
	u := proposedUpdate(asItIs)
	held := u
	held.BlockedBy = []gitops.Block{{Kind: gitops.BlockStop, Reason: "bo stopped prod on Fri 2026-01-02 at 11:58 UTC", Since: noon}}
	held.Proposal = &gitops.Proposal{Number: 7, URL: pullURL, OpenedAt: noon, WaitsFor: []string{held.BlockedBy[0].Reason, "a review is required"}}
	status := func(open *api.Proposals) func(p *printer) {
		lanes := api.Environments{Branch: api.BranchState{AsOf: noon}, Environments: []api.Environment{{Name: "prod", Lane: api.Lane{Proposed: open}}}}
		return func(p *printer) { p.status(lanes, holding{}) }
	}
	for want, print := range map[string]func(p *printer){
		"proposed  " + pullURL + "\n":         func(p *printer) { p.updates([]gitops.Update{u}) },
		"proposed  u1      " + pullURL + "\n": func(p *printer) { p.ordered([]gitops.Update{u, u}) },
		"api in prod to 1.4.0: proposed: " + pullURL + "\n": func(p *printer) {
			p.deliveries([]gitops.Delivery{{Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{u}}})
		},
		": proposed (" + pullURL + ")\n": func(p *printer) { _ = p.event(client.Event{Update: &u}) },
		"  Proposed: 1.4.0 (update u1, accepted 12:00:00 UTC)\n  Pull request 7: " + pullURL + "\n":                    func(p *printer) { p.why(whyOf(u)) },
		"\n    - held: bo stopped prod on Fri 2026-01-02 at 11:58 UTC\n    - a review is required\n":                   func(p *printer) { p.why(whyOf(held)) },
		"\n2 pull requests in prod are open, the oldest since 3h. See: tallyman updates --env prod --state proposed\n": status(&api.Proposals{Updates: 2, Oldest: noon.Add(-3 * time.Hour)}),
		"\n1 pull request in prod is open. See: tallyman updates":                                                      status(&api.Proposals{Updates: 1}),
	} {
		if got := printed(false, print); !strings.Contains(got, want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

// A waiting command says where the pull request is, and again when something else keeps it.
func TestProgressOfAProposal(t *testing.T) {
	var out bytes.Buffer
	u := proposedUpdate(asItIs)
	shown := newProgress(&out, &printer{now: noon}, untilCommitted, []gitops.Update{u}, nil)
	shown.setUpdate(u)
	u = proposedUpdate(func(u *gitops.Update) { u.Proposal.WaitsFor = u.Proposal.WaitsFor[:1] })
	shown.setUpdate(u)
	want := "api in prod to 1.4.0: proposed: " + pullURL + " (a review is required; the merge queue)\n" +
		"api in prod to 1.4.0: proposed: " + pullURL + " (a review is required)\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
