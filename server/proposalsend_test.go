package server

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// An app that leaves an environment, and an environment that leaves the configuration, have
// their open pull requests closed, although the files that they change are not known any more.
func TestWhatLeavesHasItsPullRequestClosed(t *testing.T) {
	for name, leave := range map[string]func(s *site){
		"app":         func(s *site) { s.edit("shop/api}", "shop/api, environments: [dev]}") },
		"environment": func(s *site) { s.edit("\n  prod: {", "\n  live: {") },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, hub := newForgeSite(t)
			if name == "environment" {
				s.edit("shop/api}", "shop/api, environments: [dev]}")
				s.edit("environments: [dev]}\n  worker", "environments: [dev, prod]}\n  worker")
			}
			r := s.start()
			id := r.do(r.github(oldSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202).Updates[0].ID
			r.isProposed(id)
			if name == "environment" {
				s.edit("environments: [dev, prod]}\n  worker", "environments: [dev]}\n  worker")
			}
			leave(s)
			r.stop() // the next process has seen nothing of it
			r = s.start()
			r.becomes(id, gitops.Cancelled)
			if pull := hub.Pull(1); pull.Open {
				t.Errorf("the pull request is open: %+v", pull)
			}
		})
	}
}
