package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
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

// Of the files that are read for what they name, those that are not on the branch any more
// are forgotten: names that come and go would take more and more memory.
func TestFilesThatAreGoneAreForgotten(t *testing.T) {
	s := branchSite(t)
	s.edit("    exclude: [charts/_*/**]\n", "    appFile: charts/{app}/tallyman.yaml\n")
	own := map[string]string{"charts/api/tallyman.yaml": "tags: {match: main-.+}\n"}
	s.commit(own)
	l := s.watch()
	for _, app := range []string{"cart", "mail"} {
		files := valuesOf(app, "dev")
		files["charts/"+app+"/tallyman.yaml"] = "tags: {match: main-.+}\n"
		s.commit(files)
		l.look()
		if _, known := l.current().known().Target("dev", app); !known {
			t.Fatalf("%s is not known", app)
		}
		s.commit(nil, slices.Collect(maps.Keys(files))...)
		l.look()
	}
	if look, _ := l.current().known().Look("default"); !slices.Equal(look.Read, []string{"charts/api/tallyman.yaml"}) {
		t.Errorf("files that are remembered: %q", look.Read)
	}
}

// The image of an app whose repository the configuration has, and whose files only the
// branch, waits for the first look as the others do: it would be lost.
func TestAnImageOfTheConfigurationWaitsForItsFile(t *testing.T) {
	s := branchSite(t)
	s.edit("    repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/{app}\n", "")
	s.edit("discover:\n", "apps:\n  api: {repositories: {dev: 123456789012.dkr-ecr.eu-west-1.on.aws/shop/api}}\ndiscover:\n")
	release := make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.FetchRefs, Wait: release, Times: -1})
	l := s.watchBefore()
	if d := l.do(l.ecr(bridgeSecret, push("1", "main-1a2b3c4"))).delivery(t, http.StatusAccepted); d.Outcome != gitops.OutcomeWaiting {
		t.Fatalf("%+v", d)
	}
	other := strings.Replace(push("2", "main-1a2b3c4"), "shop/api", "shop/other", 1)
	if d := l.do(l.ecr(bridgeSecret, other)).delivery(t, http.StatusOK); d.Outcome != gitops.OutcomeIgnored {
		t.Errorf("what nothing names is %+v", d)
	}
	s.git.Heal()
	close(release)
	l.wait()
	if d := l.decided("eventbridge", "1"); len(d.Updates) != 1 || l.settled(d.Updates[0].ID).State != gitops.Committed {
		t.Errorf("%+v", d)
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
