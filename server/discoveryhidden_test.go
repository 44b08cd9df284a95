package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// What cannot be read on the branch, and a branch that was emptied by mistake, cancel
// nothing of the apps that may be there all the same: their updates say why they wait, and
// are written when the branch is as it was.
func TestAppsThatCannotBeSeenAreNotGone(t *testing.T) {
	const umbrella = "shop/values-dev.yaml"
	for name, c := range map[string]struct {
		discover string
		files    map[string]string
		broken   map[string]string
		remove   []string
		why      string
	}{
		"a file of many apps is no YAML": {
			"  - {file: 'shop/values-{env}.yaml', set: [{key: '.{app}.tag'}]}\n",
			map[string]string{umbrella: "cart: {tag: main-0000000}\nmail: {tag: main-0000000}\n"},
			map[string]string{umbrella: "cart: {tag: main-0000000\nmail: {tag: main-0000000}\n"}, nil,
			umbrella + " cannot be read",
		},
		"a branch without any app": {
			"  - {file: 'charts/{app}/values-{env}.yaml'}\n",
			valuesOf("cart", "dev"), map[string]string{"README.md": "nothing\n"},
			[]string{gitserver.ValuesFile("cart", "dev"), gitserver.ValuesFile("api", "dev"), gitserver.ValuesFile("api", "prod"), gitserver.ValuesFile("worker", "dev")},
			"no file of the branch of default names any app",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := branchSite(t)
			before, _, _ := strings.Cut(s.yaml, "discover:\n")
			s.edit(s.yaml, before+"discover:\n"+c.discover)
			s.commit(c.files)
			l := s.watch()
			s.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500, Times: -1})
			waits := l.orders("1", "cart", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted).Updates[0].ID
			s.commit(c.broken, c.remove...)
			l.look()
			if why, settled := l.current().known().whyGone("dev", "cart"); settled || !strings.Contains(why, c.why) {
				t.Errorf("it is settled: %t, and why: %s", settled, why)
			}
			s.commit(c.files)
			l.look()
			s.git.Heal() // not before: an attempt that is under way would find no file
			if u := l.settled(waits); u.State != gitops.Committed {
				t.Errorf("it is %s: %s", u.State, u.Reason)
			}
		})
	}
}

// Problems that are not kept are counted, and hide apps as those that name none do.
func TestMoreProblemsThanAreListed(t *testing.T) {
	s := branchSite(t)
	files := make(map[string]string)
	for n := range discover.MaxProblems + 1 {
		files[fmt.Sprintf("charts/-%d/values-dev.yaml", n)] = "a: b\n"
	}
	s.commit(files)
	l := s.watch()
	if n := gather(t, l.Server)[`tallyman_discovery_problems{repository="default"}`]; n != discover.MaxProblems+1 {
		t.Errorf("%v problems are told", n)
	}
	if why, settled := l.current().known().whyGone("dev", "cart"); settled || !strings.Contains(why, "1 more problems than are listed") {
		t.Errorf("it is settled: %t, and why: %s", settled, why)
	}
}

// An order for an environment in which its app cannot be seen is told what is wrong with
// the file, and not that there is none.
func TestAnOrderOfAnAppThatCannotBeSeen(t *testing.T) {
	s := branchSite(t)
	before, _, _ := strings.Cut(s.yaml, "discover:\n")
	s.edit(s.yaml, before+"discover:\n  - {file: 'shop/values-{env}.yaml', set: [{key: '.{app}.tag'}]}\n")
	s.commit(map[string]string{"shop/values-dev.yaml": "cart: {tag: main-0000000\n", "shop/values-prod.yaml": "cart: {tag: 1.0.0}\n"})
	l := s.watch()
	p := l.orders("1", "cart", "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity)
	if want := "may be on the branch all the same: shop/values-dev.yaml cannot be read"; !strings.Contains(p.Detail, want) {
		t.Errorf("%s does not say %q", p.Detail, want)
	}
}
