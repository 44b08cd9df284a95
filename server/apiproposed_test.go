package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Every answer of the API that has an update says where its pull request is and how it ended,
// by the contract; a cancellation closes it, and a person's close names who and the way out.
func TestProposedUpdatesInTheAPI(t *testing.T) {
	s, _, hub := newForgeSite(t)
	r := s.start()
	order := func(tag string) gitops.Update {
		answer := r.call(apiToken, "POST", "/api/v1/updates", `{"app": "api", "environment": "prod", "tag": "`+tag+`"}`)
		u := answer.delivery(t, http.StatusAccepted).Updates[0]
		return r.isProposed(u.ID)
	}

	first := order("1.2.3")
	u := readAs[gitops.Update](r, apiToken, "/api/v1/updates/"+first.ID)
	if u.Proposal == nil || u.Proposal.Number != 1 || !strings.HasSuffix(u.Proposal.URL, "/pull/1") || u.Proposal.Head != hub.Pull(1).Head || u.Proposal.OpenedAt.IsZero() {
		t.Errorf("it is proposed as %+v", u.Proposal)
	}
	if diff := cmp.Diff([]gitops.PossibleDecision{{Action: gitops.ActionCancel}}, u.Decisions); diff != "" {
		t.Error(diff)
	}
	d := readAs[gitops.Delivery](r, apiToken, "/api/v1/deliveries/"+first.Delivery.String())
	list := readAs[api.UpdateList](r, apiToken, "/api/v1/updates?state=proposed")
	why := readAs[api.Why](r, apiToken, "/api/v1/why?app=api&environment=prod")
	if len(d.Updates) != 1 || len(list.Updates) != 1 || len(why.Pending) != 1 || d.Updates[0].Proposal == nil || list.Updates[0].Proposal == nil || why.Pending[0].Proposal == nil {
		t.Errorf("the delivery has %+v, the list %+v, why %+v", d.Updates, list.Updates, why.Pending)
	}
	for _, e := range readAs[api.Environments](r, apiToken, "/api/v1/environments").Environments {
		if open := e.Lane.Proposed; (open != nil) != (e.Name == "prod") || open != nil && (open.Updates != 1 || open.Oldest.IsZero()) || e.Lane.Ready > 0 {
			t.Errorf("%s has the lane %+v", e.Name, e.Lane)
		}
	}

	r.call(apiToken, "POST", "/api/v1/updates/"+first.ID+"/cancel", `{"reason": "a wrong build"}`)
	if u = r.becomes(first.ID, gitops.Cancelled); hub.Pull(1).Open || u.Proposal.EndedAt.IsZero() {
		t.Errorf("pull request 1 is %+v, the update %+v", hub.Pull(1), u)
	}
	second := order("1.2.4")
	hub.Close("ann", 2)
	r.hears(hub)
	r.becomes(second.ID, gitops.Closed)
	u = readAs[gitops.Update](r, apiToken, "/api/v1/updates/"+second.ID)
	if u.Proposal.EndedBy != "ann" || !strings.HasPrefix(u.Reason, "ann closed pull request") || !strings.HasSuffix(u.Reason, "tallyman update api 1.2.4 --env prod") || len(u.Decisions) > 0 {
		t.Errorf("it was closed as %+v", u)
	}
	third := order("1.2.5")
	hub.Merge("bo", 3, "squash")
	r.hears(hub)
	u = r.becomes(third.ID, gitops.Committed)
	h := readAs[api.History](r, apiToken, "/api/v1/history?app=api&environment=prod")
	if v := h.Versions[0]; v.Commit != u.Commit || v.Proof != "" || len(v.Claims) > 0 || len(v.Updates) != 1 || v.Updates[0].Update != third.ID || v.Updates[0].Actor != "token:ops" {
		t.Errorf("the merge is in the history as %+v", v)
	}
	for _, e := range readAs[api.Environments](r, apiToken, "/api/v1/environments").Environments {
		if e.Lane.Proposed != nil {
			t.Errorf("%s has %+v open", e.Name, e.Lane.Proposed)
		}
	}
}
