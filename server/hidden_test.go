package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// What was accepted waits while a problem stands in its app's way, also where the problem
// is another target's, or a file's in which no app can be read. It is written once the
// problem is solved.
func TestWhatAProblemHidesWaits(t *testing.T) {
	const umbrella = "global: {domain: x}\ncart: {image: {tag: main-0000000}}\n"
	chart := map[string]string{"charts/api/Chart.yaml": "appVersion: main-0000000\n"}
	for what, c := range map[string]struct {
		entry          string
		app            string
		broken, solved map[string]string
		says           string
	}{
		"a file that is not YAML": {
			entry: "  - file: shop/values-{env}.yaml\n    set: [{key: '.{app}.image.tag'}]\n", app: "cart",
			broken: map[string]string{"shop/values-dev.yaml": umbrella + "\t: [\n"}, solved: map[string]string{"shop/values-dev.yaml": umbrella},
			says: "shop/values-dev.yaml",
		},
		"a key of two environments": {
			entry: "  - file: charts/{app}/values-{env}.yaml\n    appFile: charts/{app}/tallyman.yaml\n", app: "api",
			broken: map[string]string{"charts/api/tallyman.yaml": "also: [{file: Chart.yaml, set: [{key: .appVersion}]}]\n"},
			solved: map[string]string{"charts/api/tallyman.yaml": "repository: ghcr.io/shop/api\n"}, says: "would both set .appVersion in charts/api/Chart.yaml",
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := branchSite(t)
			at := strings.Index(s.yaml, "discover:\n") + len("discover:\n")
			s.edit(s.yaml[at:], c.entry)
			s.commit(map[string]string{"shop/values-dev.yaml": umbrella, "shop/values-prod.yaml": umbrella})
			s.commit(chart)
			l := s.watch()
			s.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500, Times: -1})
			waits := l.orders("1", c.app, "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted)
			s.commit(c.broken)
			l.look()
			s.git.Heal()
			if why, settled := l.current().known().whyGone("dev", c.app); settled || !strings.Contains(why, c.says) {
				t.Errorf("its update ends (%t), for: %s", settled, why)
			}
			if p := l.orders("2", c.app, "dev", "main-2a2b3c4").problem(t, http.StatusUnprocessableEntity); !strings.Contains(p.Detail, c.says) {
				t.Errorf("an order is answered %s", p.Detail)
			}
			s.commit(c.solved)
			l.look()
			if u := l.settled(waits.Updates[0].ID); u.State != gitops.Committed {
				t.Errorf("it is %s: %s", u.State, u.Reason)
			}
		})
	}
}
