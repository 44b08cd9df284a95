package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

const (
	repository = "registry.myshop.example/api"
	tip        = "1111111111111111111111111111111111111111"
	old        = "2222222222222222222222222222222222222222"
	digest     = "sha256:aaaaaaaaaaaaaaaa"
)

var at = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// all are facts of four places that agree.
func all() Facts {
	return Facts{
		App: "api", Environment: "prod", Image: repository, At: at, By: "argocd",
		Branch:       Branch{File: "charts/api/values-prod.yaml", Tag: "v2", Tip: tip, Written: "v2"},
		Images:       Images{Answer: image.Answer{At: at, Thorough: true, Presence: image.Present, Digest: digest}},
		Applications: []Application{application("myshop/argocd/api", tip, "v2")},
	}
}

// application is one that is Synced and Healthy at a revision, and runs two pods of a tag.
func application(name, revision, tag string) Application {
	a := rollout.Application{Spec: rollout.Spec{Source: &rollout.Source{}}}
	a.Status.Sync, a.Status.Health = rollout.Comparison{Status: "Synced", Revision: revision}, rollout.Health{Status: "Healthy"}
	a.Status.OperationState = &rollout.OperationState{Phase: "Succeeded", SyncResult: &rollout.SyncResult{Revision: revision}}
	tree := rollout.Tree{}
	for n := range 2 {
		tree.Nodes = append(tree.Nodes, rollout.Node{Kind: "Pod", Name: fmt.Sprint(n), UID: fmt.Sprint(n), Images: []string{repository + ":" + tag}})
	}
	return Application{Name: name, Look: rollout.Look{
		Application: &a, Sources: []int{0}, Tree: &tree, Containing: map[string]rollout.Containment{tip: rollout.Contained, old: rollout.OtherTag},
	}}
}

func away(what string) error { return gitops.Errorf(gitops.Unavailable, "%s does not answer", what) }

func TestFourPlacesAreCompared(t *testing.T) {
	const (
		registryOK = "ok: v2, sha256:aaaaaaaaaaaa"
		manifestOK = "ok: v2 at 1111111"
		argoOK     = "ok: at 1111111, which has v2, Synced, Healthy"
		clusterOK  = "ok: all 2 pods run v2"
	)
	first := func(f *Facts) *Application { return &f.Applications[0] }
	status := func(f *Facts) *rollout.Status { return &first(f).Look.Application.Status }
	for name, c := range map[string]struct {
		change func(*Facts)
		result Word
		lines  [4]string // "" is that of all
	}{
		"all agree": {func(*Facts) {}, OK, [4]string{}},

		"the image is gone": {func(f *Facts) { f.Images.Answer = image.Answer{At: at, Thorough: true, Presence: image.Absent} }, Differs,
			[4]string{"differs: api:v2 is not there"}},
		"the tag was moved": {func(f *Facts) {
			f.Images.Seen = []gitops.SeenImage{{Repository: repository, Tag: "v2", Digest: "sha256:bb"}}
		}, Differs, [4]string{"differs: "}},
		"the registry is away": {func(f *Facts) { f.Images.Err = away("the registry") }, NoAnswer, [4]string{"no_answer: the registry does not answer"}},
		"no image is inspected": {func(f *Facts) { f.Images = Images{Why: "images are not inspected in prod"} }, OK,
			[4]string{"not_asked: images are not inspected in prod"}},

		"the git server is away": {func(f *Facts) { f.Branch = Branch{Err: away("the git server")} }, NoAnswer,
			[4]string{"not_asked: " + noTag, "no_answer: the git server does not answer", "not_asked: " + noTag, "not_asked: " + noTag}},
		"the file has no tag": {func(f *Facts) { f.Branch.Tag = "" }, Differs,
			[4]string{"not_asked: " + noTag, "differs: no tag can be read from charts/api/values-prod.yaml at 1111111", "not_asked: " + noTag, "not_asked: " + noTag}},
		"by hand":      {func(f *Facts) { f.Branch.Written = "v1" }, OK, [4]string{"", "ok: v2, by hand: tallyman wrote v1 last at 1111111"}},
		"more to come": {func(f *Facts) { f.Branch.Open = &gitops.Update{ID: "u3", Tag: "v3", State: gitops.Pending} }, OnItsWay, [4]string{"", "on_its_way: v2; v3 is pending (update u3) at 1111111"}},

		"another revision": {func(f *Facts) {
			f.Applications = []Application{application("a", old, "v1")}
		}, OnItsWay, [4]string{"", "", "on_its_way: at 2222222, which does not have v2, Synced, Healthy: Argo CD compares with 2222222, where the file has another tag", "on_its_way: all 2 pods run api:v1 by now"}},
		"Argo CD is away": {func(f *Facts) { first(f).Err = away("Argo CD") }, NoAnswer,
			[4]string{"", "", "no_answer: Argo CD does not answer", "no_answer: Argo CD does not answer"}},
		"the list is away":  {func(f *Facts) { f.Applications, f.Err = nil, away("Argo CD") }, NoAnswer, [4]string{"", "", "no_answer: Argo CD does not answer", "no_answer: Argo CD does not answer"}},
		"the pods are away": {func(f *Facts) { first(f).Look.Tree, first(f).TreeErr = nil, away("the tree") }, NoAnswer, [4]string{"", "", "", "no_answer: the tree does not answer"}},
		"no Application":    {func(f *Facts) { f.Applications, f.Near = nil, []string{"x: pinned to v1"} }, Unsure, [4]string{"", "", "unsure: no Application is known to read charts/api/values-prod.yaml; x: pinned to v1", "unsure: no Application is known to read"}},
		"it is gone":        {func(f *Facts) { first(f).Look.Application = nil }, Differs, [4]string{"", "", "differs: the Application is not there any more", ""}},
		"not synced":        {func(f *Facts) { status(f).Sync.Status = "OutOfSync"; status(f).OperationState = nil }, OnItsWay, [4]string{"", "", "on_its_way: at 1111111, which has v2, OutOfSync, Healthy: automated sync is off"}},
		"the sync failed":   {func(f *Facts) { status(f).OperationState.Phase, status(f).OperationState.Message = "Failed", "no room" }, Differs, [4]string{"", "", "differs: at 1111111, which has v2, Synced, Healthy: no room"}},
		"still starting":    {func(f *Facts) { status(f).Health.Status = "Progressing" }, OnItsWay, [4]string{"", "", "on_its_way: at 1111111, which has v2, Synced, Progressing"}},
		"degraded":          {func(f *Facts) { status(f).Health = rollout.Health{Status: "Degraded", Message: "crash"} }, Differs, [4]string{"", "", "differs: at 1111111, which has v2, Synced, Degraded: crash"}},
		"cannot be rendered": {func(f *Facts) {
			status(f).Conditions = []rollout.Condition{{Type: "ComparisonError", Message: "bad chart"}}
			status(f).Sync = rollout.Comparison{Status: "Unknown", Revision: "main"}
		}, OnItsWay, [4]string{"", "", "on_its_way: at main, Unknown, Healthy: ComparisonError: bad chart"}},

		"other pods": {func(f *Facts) { first(f).Look.Tree = application("", tip, "v1").Look.Tree }, Differs, [4]string{"", "", "", "differs: all 2 pods run api:v1, not v2"}},
		"one other pod": {func(f *Facts) { first(f).Look.Tree.Nodes[0].Images = []string{repository + ":v1"} }, OnItsWay,
			[4]string{"", "", "", "on_its_way: 1 of 2 pods runs api:v1 by now"}},
		"a digest": {func(f *Facts) { first(f).Look.Tree.Nodes[0].Images = []string{repository + ":v2@sha256:cc"} }, Unsure,
			[4]string{"", "", "", "unsure: 1 of 2 pods names a digest that is not the registry's: an image for several platforms has several"}},
		"the node's digest":         {func(f *Facts) { first(f).Running = []string{repository + "@" + digest} }, OK, [4]string{"", "", "", clusterOK + ", sha256:aaaaaaaaaaaa"}},
		"another digest on a node":  {func(f *Facts) { first(f).Running = []string{repository + "@sha256:cc"} }, Unsure, [4]string{"", "", "", "unsure: all 2 pods run v2, as sha256:cc on a node and sha256:aaaaaaaaaaaa in the registry"}},
		"no pods, and none known":   {func(f *Facts) { first(f).Look.Tree = &rollout.Tree{} }, Unsure, [4]string{"", "", "", "unsure: no pod with the image " + repository + " was found"}},
		"its pods were not asked":   {func(f *Facts) { first(f).Look.Tree = nil }, Unsure, [4]string{"", "", "", "unsure: its pods are not known"}},
		"two clusters":              {func(f *Facts) { f.Applications = append(f.Applications, application("b", tip, "v2")) }, OK, [4]string{"", "", "ok: 2 Applications, all with v2, Synced and Healthy", "ok: 2 Applications, all of whose pods run v2"}},
		"two clusters, one differs": {func(f *Facts) { f.Applications = append(f.Applications, application("b", tip, "v1")) }, Differs, [4]string{"", "", "ok: 2 Applications", "differs: b: all 2 pods run api:v1, not v2"}},

		"not followed": {func(f *Facts) { f.By, f.Applications = "none", nil }, OK, [4]string{"", "", "not_asked: not followed: environments.prod.rollout", "not_asked: not followed"}},
		"reported": {func(f *Facts) {
			f.By, f.Reported = "reports", &Reported{"v2", gitops.Rollout{State: gitops.RolloutHealthy, By: "token:flux"}}
		}, OK, [4]string{"", "", "ok: v2 is healthy, as token:flux reported", "ok: v2 is healthy, as token:flux reported"}},
		"reported to fail": {func(f *Facts) {
			f.By, f.Reported = "reports", &Reported{"v2", gitops.Rollout{State: gitops.RolloutDegraded, Reason: "crash", By: "token:flux"}}
		}, Differs, [4]string{"", "", "differs: v2 is degraded: crash, as token:flux reported", "differs: v2 is degraded"}},
		"reported of another": {func(f *Facts) {
			f.By, f.Reported = "reports", &Reported{"v1", gitops.Rollout{State: gitops.RolloutHealthy, By: "token:flux"}}
		}, Unsure, [4]string{"", "", "unsure: v1 is healthy", "unsure: v1 is healthy"}},
		"nothing reported": {func(f *Facts) { f.By = "reports" }, Unsure, [4]string{"", "", "unsure: nothing was reported yet", "unsure: nothing was reported yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := all()
			c.change(&f)
			r := Compare(f)
			if r.Result != c.result {
				t.Errorf("the result is %s, want %s", r.Result, c.result)
			}
			for i, usual := range []string{registryOK, manifestOK, argoOK, clusterOK} {
				want := firstOf(c.lines[i], usual)
				got := string(r.Lines[i].Word) + ": " + r.Lines[i].Text
				if c.lines[i] == "" && name != "all agree" && i > 2 && r.Lines[2].Word != OK {
					continue // what the pods run beside what Argo CD says is told by other stories
				}
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s\nwant %s", r.Lines[i].Place, got, want)
				}
			}
		})
	}
}

// What programs read beside the words.
func TestTheLinesHaveWhatProgramsRead(t *testing.T) {
	f := all()
	f.Applications[0].URL = "https://argocd.myshop.example/applications/argocd/api"
	want := []Line{
		{Place: Registry, Word: OK, Tag: "v2", Digest: digest},
		{Place: Manifest, Word: OK, Tag: "v2", Commit: tip},
		{Place: ArgoCD, Word: OK, Application: "myshop/argocd/api", URL: f.Applications[0].URL, Revision: tip, Contains: rollout.Contained, Sync: "Synced", Health: "Healthy"},
		{Place: Cluster, Word: OK, Application: "myshop/argocd/api", Images: []string{repository + ":v2"}},
	}
	got := Compare(f).Lines
	for i := range got {
		got[i].Text = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every word has its place in the order, so that none is lost in a result.
func TestTheWorstWordIsTheResult(t *testing.T) {
	for i, a := range Words() {
		for j, b := range Words() {
			if got := Worse(a, b); got != Words()[min(i, j)] {
				t.Errorf("of %s and %s it is %s", a, b, got)
			}
		}
	}
}
