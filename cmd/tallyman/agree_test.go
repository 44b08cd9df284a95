package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// deliveryFacts are what both the log and explain say of a delivery: everything but
// the times.
type deliveryFacts struct {
	Outcome, Actor, Remote, Credential, Reason string
	Updates                                    []string
}

// updateFacts are what both say of an update's end.
type updateFacts struct{ Delivery, Environment, App, Tag, State, Commit, Reason, Code string }

// logged are the lines of its log so far.
func (c *child) logged() []map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// logged reads a log: what its lines say of each delivery and of the end of each
// update. Each may have one line only, but for duplicates.
func logged(t *testing.T, lines []map[string]any) (map[string]deliveryFacts, map[string]updateFacts) {
	t.Helper()
	deliveries, updates := make(map[string]deliveryFacts), make(map[string]updateFacts)
	for _, line := range lines {
		text := func(key string) string { value, _ := line[key].(string); return value }
		state, isEnd := stateIn(line)
		switch key := text("delivery"); {
		case text("outcome") != "" && key != "" && text("outcome") != "duplicate":
			if _, twice := deliveries[key]; twice {
				t.Errorf("delivery %s has two lines", key)
			}
			d := deliveryFacts{Outcome: text("outcome"), Actor: text("actor"), Remote: text("remote"), Credential: text("credential"), Reason: text("reason")}
			ids, _ := line["updates"].([]any)
			for _, id := range ids {
				d.Updates = append(d.Updates, id.(string))
			}
			deliveries[key] = d
		case isEnd:
			id := text("update")
			if _, twice := updates[id]; twice {
				t.Errorf("update %s has two lines", id)
			}
			updates[id] = updateFacts{key, text("environment"), text("app"), text("tag"), string(state), text("commit"), text("reason"), text("code")}
		}
	}
	return deliveries, updates
}

// The log and explain say the same of every delivery and every update, however they
// ended.
func TestExplainAndTheLogAgree(t *testing.T) {
	s := newSite(t, 2)
	text, err := os.ReadFile(s.config())
	s.must(err)
	s.must(os.WriteFile(s.config(), []byte(strings.Replace(string(text), "'main-[0-9a-f]{7,40}'}}", "'main-[0-9a-f]{7,40}'}, file: 'gone/{app}.yaml'}", 1)), 0o600))
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)

	send := func(id string, d dispatch, status int) {
		t.Helper()
		d.eventType, d.actor, d.repositoryID = firstOf(d.eventType, "update-image"), "ann", 1
		req, err := d.request(base, s.secret, id)
		s.deliver(req, err, status)
	}
	staging := dispatch{App: []string{"app-00"}, Environment: []string{"staging"}, Tag: "main-1a2b3c4"}
	send("committed", staging, http.StatusAccepted)
	send("committed", staging, http.StatusOK) // the log has another line for a duplicate, and explain shows the first
	send("unchanged", staging, http.StatusAccepted)
	send("failed", dispatch{App: []string{"app-00"}, Environment: []string{"dev"}, Tag: "main-1a2b3c4"}, http.StatusAccepted)
	send("refused", dispatch{App: []string{"app-00"}, Environment: []string{"prod"}, Tag: "rc-1a2b3c4"}, http.StatusUnprocessableEntity)
	send("another", dispatch{eventType: "deploy"}, http.StatusOK)
	pushed := imageEvent{header: "X-Tallyman-Key", repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-00", tag: "rc-1a2b3c5", digest: demoDigest, action: "PUSH", at: time.Now().Add(-time.Minute)}
	req, err := pushed.request(base, s.secret, "pushed")
	s.deliver(req, err, http.StatusAccepted)
	pushed.tag, pushed.at = "rc-1a2b3c4", pushed.at.Add(-time.Hour)
	req, err = pushed.request(base, s.secret, "superseded")
	s.deliver(req, err, http.StatusAccepted)
	run(t, "update", "app-01", "main-1a2b3c4", "--env", "prod", "--key", "ordered", "--wait")
	for id, state := range map[string]string{"committed": "committed", "unchanged": "unchanged", "failed": "failed", "pushed": "committed"} {
		for words := ""; !strings.Contains(words, "1a2b3c4: "+state) && !strings.Contains(words, "1a2b3c5: "+state); {
			words, _, _ = run(t, "explain", id)
		}
	}
	s.must(c.stop()) // so that the log is complete

	deliveries, updates := logged(t, c.logged())
	c, base, _ = s.start(deadline(t))
	s.commandLine(base)
	var list struct{ Deliveries []gitops.Delivery }
	out, _, _ := run(t, "deliveries", "-n", "100", "-o", "json")
	s.must(json.Unmarshal([]byte(out), &list))
	explained, ends, states := make(map[string]deliveryFacts), make(map[string]updateFacts), make(map[string]int)
	for _, d := range list.Deliveries {
		out, errs, exit := run(t, "explain", d.Key().String(), "-o", "json")
		if exit != 0 {
			t.Fatalf("explain %s: exit %d: %s", d.Key(), exit, errs)
		}
		var whole gitops.Delivery
		s.must(json.Unmarshal([]byte(out), &whole))
		facts := deliveryFacts{string(whole.Outcome), whole.Actor, whole.Remote, whole.Credential, whole.Reason, nil}
		for _, u := range whole.Updates {
			facts.Updates = append(facts.Updates, u.ID)
			ends[u.ID] = updateFacts{u.Delivery.String(), u.Environment, u.App, u.Tag, string(u.State), u.Commit, u.Reason, string(u.Code)}
			states[string(u.State)]++
		}
		explained[d.Key().String()] = facts
		// In words, the same is said to people.
		words, _, _ := run(t, "explain", d.Key().String())
		expect(t, "explain "+d.Key().String(), words, append(strings.Split(whole.Reason, "; "), string(whole.Outcome), whole.Credential)...)
		for _, u := range whole.Updates {
			expect(t, "explain "+d.Key().String(), words, fmt.Sprintf("%s in %s to %s: %s", u.App, u.Environment, u.Tag, u.State), u.Commit, u.Reason)
		}
	}
	if diff := cmp.Diff(deliveries, explained); diff != "" {
		t.Errorf("of deliveries the log says -, explain +:\n%s", diff)
	}
	if diff := cmp.Diff(updates, ends); diff != "" {
		t.Errorf("of updates the log says -, explain +:\n%s", diff)
	}
	if len(explained) != 8 || states["committed"] != 3 || states["unchanged"] != 1 || states["failed"] != 1 || states["superseded"] != 1 {
		t.Errorf("%d deliveries, %v", len(explained), states)
	}
	s.must(c.stop())
}
