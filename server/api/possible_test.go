package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// history is how an update came into a state, and what came after it.
type history struct {
	name    string
	actions []gitops.Action
	block   bool   // it is blocked
	later   bool   // a later update of its app is open
	written bool   // and then written
	pushed  string // a higher version is on the branch, and the update only goes up
}

// histories lead to every state, and to what keeps a decision from being possible.
func histories() (all []history) {
	for _, action := range []gitops.Action{"", gitops.ActionPropose, gitops.ActionCommit, gitops.ActionConfirm, gitops.ActionSupersede, gitops.ActionFail, gitops.ActionClose, gitops.ActionCancel} {
		h := history{name: "after " + string(action)}
		if action != "" {
			h.actions = []gitops.Action{action}
		}
		all = append(all, h)
	}
	return append(all,
		history{name: "blocked", block: true},
		history{name: "blocked, and a later one is open", block: true, later: true},
		history{name: "failed, and a later one is open", actions: []gitops.Action{gitops.ActionFail}, later: true},
		history{name: "failed, and a later one is written", actions: []gitops.Action{gitops.ActionFail}, later: true, written: true},
		history{name: "failed, and lower than the branch by now", actions: []gitops.Action{gitops.ActionFail}, pushed: "2.0.0"},
	)
}

// play makes a store with the history, and returns the update's id.
func (h history) play(t *testing.T) (store *queuetest.Model, id string) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	store = queuetest.NewModel(func() time.Time { return now }, queuetest.Hooks{})
	accept := func(delivery, tag string, onlyUp bool) string {
		d, _, err := store.Accept(t.Context(), gitops.Delivery{Source: "github", ID: delivery, Outcome: gitops.OutcomeAccepted,
			Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: tag, OnlyUp: onlyUp}}})
		if err != nil {
			t.Fatal(err)
		}
		return d.Updates[0].ID
	}
	leases, err := store.Claim(t.Context(), "one", []string{"dev"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	report := func(r queue.Report) {
		if _, err := store.Report(t.Context(), leases[0], r); err != nil {
			t.Fatal(err)
		}
	}
	higher := ""
	if h.pushed != "" {
		higher = accept("higher", "1.0.0", true)
		report(queue.Report{Transitions: []gitops.Transition{{Update: higher, Action: gitops.ActionFail}}})
		higher = accept("highest", h.pushed, true)
		report(queue.Report{Transitions: []gitops.Transition{{Update: higher, Action: gitops.ActionFail}}})
	}
	id = accept("first", "1.5.0", h.pushed != "")
	for _, action := range h.actions {
		report(queue.Report{Transitions: []gitops.Transition{{Update: id, Action: action}}})
	}
	if h.block {
		report(queue.Report{Blocks: []queue.Blocked{{Update: id, BlockedBy: []gitops.Block{{Kind: gitops.BlockStale, Reason: "old"}}}}})
	}
	if higher != "" { // its order is older, so only its version keeps the other out
		if _, err := store.Decide(t.Context(), queue.Decision{Update: higher, Action: gitops.ActionRetry}); err != nil {
			t.Fatal(err)
		}
	}
	if h.later {
		later := accept("later", "1.6.0", false)
		if h.written {
			report(queue.Report{Transitions: []gitops.Transition{{Update: later, Action: gitops.ActionCommit}}})
		}
	}
	return store, id
}

// What the API says of a decision is what happens when it is made: for every state and
// obstacle, with the right and without, and of an app that left the configuration.
func TestDecisionsAreAsSaid(t *testing.T) {
	may := map[string][]gitops.Right{"every right": gitops.Rights(), "reads": {gitops.RightRead}, "retries": {gitops.RightRead, gitops.RightRetry}}
	refused := 0
	for _, h := range histories() {
		for who, rights := range may {
			for _, why := range []string{"", `app "api" is not configured for environment "dev"`} {
				for _, action := range decisions {
					store, id := h.play(t)
					said, listed := decisionsOf(t, store, id, rights, why)[action]
					err := makeDecision(t, store, id, rights, why, action)
					if possible := listed && said == ""; possible != (err == nil) {
						t.Errorf("%s, %s, %q: %s is listed %t and refused %q; made it is %v", h.name, who, why, action, listed, said, err)
					}
					if listed && said != "" {
						refused++
						if said != gitops.PublicOf(err) {
							t.Errorf("%s, %s: said %q; it was %v", h.name, who, said, err)
						}
					}
				}
			}
		}
	}
	if refused < 20 {
		t.Errorf("only %d decisions were listed as refused", refused)
	}
}

// apiOf is an API whose caller has some rights, over a store.
func apiOf(t *testing.T, store *queuetest.Model, rights []gitops.Right, why string) *API {
	t.Helper()
	o := pendingOffice()
	o.rule = access.Rule{Who: access.Who{Token: "ops"}, May: rights}
	drained := make(chan struct{})
	close(drained) // a cancellation is not waited for
	return New(Config{
		Store: store, Intake: o, Access: o.list(t), Authenticators: []Authenticator{o}, Logger: slog.New(slog.DiscardHandler), Drain: drained,
		Unwritable: func(context.Context, gitops.Update) (string, error) { return why, nil },
	})
}

// decisionsOf are the decisions that the API lists of an update, with why each is
// refused.
func decisionsOf(t *testing.T, store *queuetest.Model, id string, rights []gitops.Right, why string) map[gitops.Action]string {
	t.Helper()
	a := apiOf(t, store, rights, why)
	_, answer, err := a.allow(gitops.RightRead, a.update)(httptest.NewRecorder(), requestAbout(id))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[gitops.Action]string)
	for _, d := range answer.(gitops.Update).Decisions {
		found[d.Action] = d.Refused
	}
	return found
}

func makeDecision(t *testing.T, store *queuetest.Model, id string, rights []gitops.Right, why string, action gitops.Action) error {
	t.Helper()
	a := apiOf(t, store, rights, why)
	_, _, err := a.allow(gitops.RightRead, a.decide(action, "decided"))(httptest.NewRecorder(), requestAbout(id))
	return err
}

func requestAbout(id string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/updates/"+id, nil)
	r.Header.Set("Authorization", "Bearer x")
	r.SetPathValue("id", id)
	return r
}
