package action_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"
)

const pullURL = "https://github.com/shop/manifests/pull/7"

// proposedThen answers the order with an update whose pull request is open, and what is asked
// later with the same update in other states, one after the other.
func proposedThen(states ...string) intercept {
	const update = `{"id": "u1", "app": "api", "environment": "dev", "state": %q, "proposal": {"url": "` + pullURL + `", "waitsFor": ["2 approvals are missing"]}}`
	return func(w http.ResponseWriter, r *http.Request) bool {
		state := "proposed"
		if r.Method == http.MethodGet && len(states) > 0 {
			state, states = states[0], states[1:]
		}
		text := fmt.Sprintf(update, state)
		if r.Method == http.MethodPost {
			text = `{"updates": [` + text + `]}`
		}
		_, _ = io.WriteString(w, text)
		return true
	}
}

// The step ends when the pull request is open and says where it is; with wait: committed it
// goes on until that is merged or closed, and never takes an open one for a commit.
func TestProposed(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for name, c := range map[string]struct {
		wait, timeout string
		now           intercept
		failed        bool
		state, why    string
	}{
		"ends when it is open":            {"proposed", "5s", proposedThen(), false, "proposed", "2 approvals are missing"},
		"waits for the merge":             {"committed", "20s", proposedThen("proposed", "committed"), false, "committed", "committed"},
		"is closed":                       {"committed", "20s", proposedThen("closed"), true, "closed", "not committed: closed"},
		"is not merged in time":           {"committed", "1s", proposedThen(), true, "proposed", "still proposed after 1s: 2 approvals are missing"},
		"is open when it is not waited":   {"false", "5s", proposedThen(), false, "proposed", "2 approvals are missing"},
		"is not asked for in another way": {"true", "5s", proposedThen(), true, "", "the input wait must be proposed, committed, healthy or false"},
	} {
		t.Run(name, func(t *testing.T) {
			s.inFront(c.now)
			r := s.run(map[string]string{"wait": c.wait, "timeout": c.timeout})
			r.expect(t, c.failed, c.state, c.why)
			if c.state == "" {
				return
			}
			if r.outputs["pull-request"] != pullURL || r.outputs["commit"] != "" || !strings.Contains(r.outputs["updates"], `"pullRequest":"`+pullURL+`"`) {
				t.Errorf("outputs %v", r.outputs)
			}
			if want := `<th align="left">Pull request</th><td><a href="` + pullURL + `">`; !strings.Contains(html.UnescapeString(r.summary), want) {
				t.Errorf("the summary does not say %s:\n%s", want, r.summary)
			}
		})
	}
}

// Of several updates one that ended without a commit fails the step, also beside one that is
// proposed, and is the one that is named.
func TestSeveralProposed(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for second, failed := range map[string]bool{"proposed": false, "committed": false, "failed": true} {
		s.inFront(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"updates": [{"id": "u1", "app": "api", "environment": "dev", "state": "proposed", "proposal": {"url": "`+pullURL+`"}},
				{"id": "u2", "app": "web", "environment": "dev", "state": "`+second+`", "reason": "why"}]}`)
			return true
		})
		r := s.run(map[string]string{"app": "api,web"})
		state := "proposed"
		if failed {
			state = second
		}
		r.expect(t, failed, state, "2 updates")
		if r.outputs["pull-request"] != pullURL || !strings.Contains(html.UnescapeString(r.summary), `<td>proposed</td><td><a href="`+pullURL+`">`) {
			t.Errorf("outputs %v\n%s", r.outputs, r.summary)
		}
		if failed && !strings.Contains(r.log, "The first: web in dev: failed: why") {
			t.Errorf("the log:\n%s", r.log)
		}
	}
}
