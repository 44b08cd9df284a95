package rollout

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// of makes an Application of a health, and of resources of it: KIND STATUS MESSAGE.
func of(health string, resources ...string) *Application {
	s := live
	s.health = health
	a := s.application()
	a.Status.Resources = nil
	for _, text := range resources {
		kind, rest, _ := strings.Cut(text, " ")
		status, message, _ := strings.Cut(rest, " ")
		a.Status.Resources = append(a.Status.Resources, Resource{Kind: kind, Namespace: "myshop", Name: "api", Health: &Health{Status: status, Message: message}})
	}
	return a
}

func TestHealths(t *testing.T) {
	for _, test := range []struct {
		name        string
		application *Application
		state       gitops.RolloutState
		reason      string
	}{
		{"a canary that stands", of(suspended, "Service Healthy", "Rollout Suspended CanaryPauseStep"), gitops.RolloutPaused, "Rollout api: CanaryPauseStep"},
		{"a paused Deployment", of(suspended, "Deployment Suspended Deployment is paused"), gitops.RolloutPaused, "Deployment is paused"},
		{"a suspended CronJob", of(suspended, "Deployment Healthy", "CronJob Suspended CronJob is suspended"), gitops.RolloutHealthy, "a CronJob is suspended"},
		{"a suspended CronJob and a canary", of(suspended, "CronJob Suspended", "Rollout Suspended CanaryPauseStep"), gitops.RolloutPaused, "Rollout api: CanaryPauseStep"},
		{"something suspended", of(suspended), gitops.RolloutPaused, ""},
		{"missing objects", of(missing, "Deployment Missing"), gitops.RolloutProgressing, "objects are missing; Deployment api"},
		{"an unknown health", of("Unknown", "Thing Unknown lua: attempt to index nil"), gitops.RolloutProgressing, "Argo CD does not know the health; Thing api: lua: attempt to index nil"},
		{"no health", of(""), gitops.RolloutProgressing, "Argo CD does not know the health"},
		{"a health of the future", of("Blooming"), gitops.RolloutProgressing, "Argo CD does not know the health"},
		{"on its way", of(progressing, "Deployment Progressing Waiting for rollout to finish"), gitops.RolloutProgressing, ""},
		{"a hook that failed before", of(healthy, "Deployment Healthy"), gitops.RolloutHealthy, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newFollower().look(Look{Now: epoch, Application: test.application}, live.tree(), nil, nil)
			expect(t, v, test.state, test.reason)
			if test.reason == "" && v.Reason != "" {
				t.Errorf("it says %q", v.Reason)
			}
		})
	}
}

// After a while it is told which pod keeps it, and of several one with the update's image.
func TestWhyItTakesSoLong(t *testing.T) {
	tree := grow(pod("fine", "", v2), pod("mesh", "", tool).with("CrashLoopBackOff", "back-off 40s"), pod("new", "", v2).with("ImagePullBackOff", `Back-off pulling image "x"`),
		pod("ends", "", v2).with("Terminating", "Pending deletion"))
	f, a := newFollower(), of(progressing, "Deployment Progressing 1 of 2 updated")
	look := func(seconds float64, tree *Tree) Verdict {
		return f.look(Look{Now: at(seconds), Application: a}, tree, nil, nil)
	}
	expect(t, look(0, tree), gitops.RolloutProgressing, "")
	if v := look(29, tree); v.Reason != "" {
		t.Errorf("after 29 s it says %q", v.Reason)
	}
	expect(t, look(30, tree), gitops.RolloutProgressing, `pod new: ImagePullBackOff: Back-off pulling image "x"`)
	expect(t, look(31, grow(pod("mesh", "", tool).with("CrashLoopBackOff", "back-off 40s"))), gitops.RolloutProgressing, "pod mesh: CrashLoopBackOff: back-off 40s")
	expect(t, look(32, grow(pod("fine", "", v2))), gitops.RolloutProgressing, "Deployment api: 1 of 2 updated")
	a = of(progressing)
	expect(t, look(33, grow(plant{kind: "Deployment", name: "api", message: "from the tree"})), gitops.RolloutProgressing, "Deployment api: from the tree")
}

// A verdict waits for the reason of the pods, and not for ever.
func TestDegradedTellsWhy(t *testing.T) {
	a := of(degraded, "Job Healthy", "Deployment Degraded too few")
	a.Status.Resources[0] = Resource{Kind: "Job", Name: "smoke", Hook: true, Health: &Health{Status: degraded, Message: "of a hook"}}
	look := Look{Now: epoch, Application: a, Sources: []int{0}}
	v, m := Judge(ourUpdate, look, Memory{})
	expect(t, v, gitops.RolloutProgressing, "Degraded; Deployment api: too few")
	if !v.Wants.Tree {
		t.Error("no tree is asked for")
	}
	look.Now = at(21)
	if v, _ := Judge(ourUpdate, look, m); v.State != gitops.RolloutDegraded {
		t.Errorf("without a tree it is %s for ever", v.State)
	}
	look.Tree = grow(pod("new", "", v2).with("CrashLoopBackOff", "back-off 5m"))
	v, _ = Judge(ourUpdate, look, m)
	expect(t, v, gitops.RolloutDegraded, "Deployment api: too few; pod new: CrashLoopBackOff: back-off 5m")
}

// Reasons are one line and not long, whatever Argo CD says.
func TestReasonsAreTidy(t *testing.T) {
	a := of(healthy)
	a.Status.Conditions = []Condition{{Type: "OrphanedResourceWarning", Message: "not asked"}, {Type: "ComparisonError", Message: "one\n\ttwo\x00 `helm template . --api-versions v1` at \"/dev/shm/123\": of https://bot:secret@git.example/x " + strings.Repeat("long ", 200) + "."}}
	v := newFollower().look(Look{Now: epoch, Application: a}, nil, nil, nil)
	expect(t, v, gitops.RolloutWaiting, "ComparisonError: one two? `helm template` at: of https://git.example/x long long")
	if len(v.Reason) > longestReason+3 || strings.ContainsAny(v.Reason, "\n\t\x00") {
		t.Errorf("%d bytes: %q", len(v.Reason), v.Reason)
	}
}

// A tree with a circle ends, and what names no image is of others.
func TestATreeWithACircle(t *testing.T) {
	a, b := node("ReplicaSet", "a"), node("Pod", "b")
	a, b = below(a, b), below(b, a)
	b.Images = []string{"", ":", "@", "@sha256:", v2 + "@", "registry.example:5000"}
	c := node("Pod", "c")
	c.Group = "things.example"
	f := newForest(Tree{Nodes: []Node{a, b, c}})
	if pods := f.currentPods(); len(pods) != 1 {
		t.Errorf("%d pods", len(pods))
	}
	f.root(b)
	v := newFollower().look(Look{Now: epoch, Application: live.application()}, &Tree{Nodes: []Node{a, b}}, nil, nil)
	expect(t, v, gitops.RolloutHealthy, "")
}
