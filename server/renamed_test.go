package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A reload may rename a manifest repository, spell its address otherwise, or move an app
// away from it and back, while nobody knows whether a push to it has landed, twice: each
// update is written once.
func TestARepositoryIsRenamedWhileAPushIsInDoubt(t *testing.T) {
	lost := []gitserver.Fault{{On: gitserver.Push, Apply: true, Cut: true}, {Cut: true, Times: -1}}
	for name, reloads := range map[string][]func(s *site, pay second){
		"renamed": {func(s *site, _ second) {
			s.yaml = strings.NewReplacer("  pay: {url", "  wallet: {url", "manifests: pay", "manifests: wallet").Replace(s.yaml)
		}},
		"out and in": {
			func(s *site, _ second) { s.edit("manifests: pay", "manifests: default") },
			func(s *site, _ second) { s.edit("manifests: default", "manifests: pay") },
		},
		"spelled otherwise": {func(s *site, pay second) { s.edit(pay.repository.URL, pay.repository.URL+"/") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			pay := s.addRepository("pay")
			s.edit("worker: {environments: [dev]}", "worker: {environments: [dev], manifests: pay}")
			r := s.start()
			var want []string
			for n := 1; n <= 2; n++ {
				for _, f := range lost {
					pay.Inject(f)
				}
				var waiting []string
				for i := range 2 {
					tag := fmt.Sprintf("main-%d%d00000", n, i)
					waiting = append(waiting, r.orders(tag, "worker", "dev", tag).delivery(t, http.StatusAccepted).Updates[0].ID)
					want = append(want, "chore: bump worker to "+tag+" (dev)")
				}
				r.settled(r.orders(fmt.Sprint("api", n), "api", "dev", fmt.Sprintf("main-%d00000f", n)).delivery(t, http.StatusAccepted).Updates[0].ID)
				before := s.yaml
				for _, reload := range reloads {
					reload(s, pay)
					s.must(s.reload(r))
				}
				pay.Heal()
				for _, id := range waiting {
					if u := r.settled(id); u.State != gitops.Committed {
						t.Errorf("%s ended as %s: %s", u.Tag, u.State, u.Reason)
					}
				}
				s.yaml = before
				s.must(s.reload(r))
			}
			got := s.subjects(pay.repository, "main")
			if name == "out and in" { // in between some may be written where the app was then
				elsewhere := s.subjects(s.repository, "main")
				want = slices.DeleteFunc(want, func(subject string) bool {
					return !slices.Contains(got, subject) && slices.Contains(elsewhere, subject)
				})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the branch of pay (-want +got):\n%s", diff)
			}
		})
	}
}
