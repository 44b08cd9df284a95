package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	oldRevision  = "1111111111111111111111111111111111111111"
	ourRevision  = "2222222222222222222222222222222222222222"
	later        = "3333333333333333333333333333333333333333" // of others, with our tag
	reverted     = "4444444444444444444444444444444444444444"
	forced       = "5555555555555555555555555555555555555555"
	repository   = "registry.example/myshop/api"
	ourDigest    = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	othersDigest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var (
	ourUpdate = Subject{Commit: ourRevision, Image: repository, Tag: "v2", Since: epoch}
	known     = map[string]Containment{oldRevision: Before, later: Contained, reverted: OtherTag, forced: Elsewhere}
)

// scene is an Application in one moment, in the words of whoever makes it up.
type scene struct {
	sync, revision, health string
	operation              string // see operations
	pods                   string // images, apart by spaces
	compared               bool   // after the operation
	prune                  bool   // something besides is OutOfSync, and what is ours is not
}

// operations are all that one may be; "" means that there was no operation.
var operations = []string{
	"", "asked", "Running old", "Running ours", "Running later", "Terminating ours", "Succeeded old", "Succeeded ours", "Succeeded later",
	"Failed ours", "Failed old", "Error without result", "Succeeded dry", "Succeeded part", "Running dry", "Failed part",
	"Succeeded heal", "Failed heal",
}

func (s scene) application() *Application {
	a := &Application{Metadata: Metadata{Name: "api", Namespace: "argocd"}}
	a.Spec.Source = &Source{RepoURL: "https://git.example/manifests", Path: "api", TargetRevision: "main"}
	a.Spec.SyncPolicy = automated(true)
	a.Status.Sync = Comparison{Status: s.sync, Revision: s.revision}
	a.Status.Health.Status = s.health
	a.Status.OperationState, a.Operation = s.state()
	finished := epoch.Add(-time.Hour)
	if a.Status.OperationState != nil && a.Status.OperationState.hasEnded() {
		a.Status.OperationState.FinishedAt = &finished
	}
	reconciled := finished
	if s.compared {
		reconciled = finished.Add(time.Second)
	}
	a.Status.ReconciledAt = &reconciled
	workload := Resource{Group: "apps", Kind: "Deployment", Namespace: "myshop", Name: "api", Status: s.sync, Health: &Health{Status: s.health}}
	a.Status.Resources = []Resource{workload}
	if s.prune {
		a.Status.Resources[0].Status = synced
		a.Status.Resources = append(a.Status.Resources, Resource{Kind: "ConfigMap", Name: "extra", Status: outOfSync, RequiresPruning: true})
	}
	return a
}

func automated(selfHeal bool) *SyncPolicy {
	p := &SyncPolicy{}
	p.Automated = &struct {
		Enabled  *bool `json:"enabled"`
		SelfHeal bool  `json:"selfHeal"`
	}{SelfHeal: selfHeal}
	return p
}

func (s scene) state() (*OperationState, *Operation) {
	phase, what, _ := strings.Cut(s.operation, " ")
	revision := map[string]string{"old": oldRevision, "later": later}[what]
	if revision == "" {
		revision = ourRevision
	}
	op := Operation{Sync: &SyncOperation{Revision: revision, DryRun: what == "dry"}}
	op.InitiatedBy.Automated = what == "heal"
	if what == "part" || what == "heal" {
		op.Sync.Resources = append(op.Sync.Resources, struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		}{"ConfigMap", "extra"})
	}
	state := &OperationState{Operation: op, Phase: phase, SyncResult: &SyncResult{Revision: revision}}
	switch {
	case phase == "":
		return nil, nil
	case phase == "asked":
		return nil, &op
	case what == "without result":
		state.SyncResult = nil
	}
	if !state.hasEnded() {
		return state, &op
	}
	return state, nil
}

// tree has a pod for each image, below a ReplicaSet of the Deployment.
func (s scene) tree() *Tree {
	deployment := node("Deployment", "api")
	tree := &Tree{Nodes: []Node{deployment}}
	for i, image := range strings.Fields(s.pods) {
		set := below(node("ReplicaSet", fmt.Sprint("api-", i)), deployment)
		pod := below(node("Pod", fmt.Sprint("api-", i, "-x")), set)
		pod.Images = []string{"registry.example/mesh/proxy:v9", image}
		tree.Nodes = append(tree.Nodes, set, pod)
	}
	return tree
}

func (s scene) live() []Managed {
	return []Managed{{Group: "apps", Kind: "Deployment", Namespace: "myshop", Name: "api",
		LiveState: `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"image":"` + repository + `:v2"}]}}}}`}}
}

// isTrue reports whether the update runs in this scene: it is what the verdict is held to, and
// knows nothing of how that is found.
func (s scene) isTrue() bool {
	inGit := s.revision == ourRevision || s.revision == later
	idle := !slices.Contains([]string{"asked", "Running", "Terminating"}, strings.Fields(s.operation + " -")[0])
	all := []string{"Succeeded ours", "Succeeded later", "Succeeded heal", "Failed heal"} // it heals what all was applied of
	isApplied := s.sync == synced || s.sync == outOfSync && s.prune && s.compared && slices.Contains(all, s.operation)
	runs := s.pods == repository+":v2" || s.pods == repository+":v2@"+ourDigest
	return inGit && idle && isApplied && s.health == healthy && runs && s.operation != "Failed ours"
}

// What is served in any combination is healthy only where it runs; and there it is, at the first
// look.
func TestNoCombinationIsHealthyButTheTrueOnes(t *testing.T) {
	var n, truths int
	for s := range scenes() {
		n++
		f := follower{subject: ourUpdate, sources: []int{0}, known: known}
		for _, seconds := range []float64{0, 35} {
			v := f.look(Look{Now: at(seconds), Application: s.application()}, s.tree(), s.live(), &Windows{CanSync: true})
			if is := v.State == gitops.RolloutHealthy; is != s.isTrue() {
				t.Fatalf("%+v is said to be %s %q at %v s", s, v.State, v.Reason, seconds)
			}
			if v.State == gitops.RolloutTimedOut || v.State == gitops.RolloutUnmapped || v.State == "" {
				t.Fatalf("%+v is said to be %q", s, v.State)
			}
			if v.State.Final() {
				break
			}
		}
		if s.isTrue() {
			truths++
		}
	}
	if n < 20000 || truths < 20 {
		t.Errorf("%d combinations, %d of them true: too few to say anything", n, truths)
	}
}

func scenes() func(yield func(scene) bool) {
	pods := []string{"", repository + ":v1", repository + ":v2", repository + ":v1 " + repository + ":v2", repository + ":v2@" + ourDigest, repository + "@" + othersDigest, "registry.example/other/thing:v2"}
	return func(yield func(scene) bool) {
		for _, sync := range []string{synced, outOfSync, "Unknown", ""} {
			for _, revision := range []string{"", "main", oldRevision, ourRevision, later, reverted, forced} {
				for _, health := range []string{"", healthy, progressing, degraded, suspended, missing, "Unknown"} {
					for _, operation := range operations {
						for _, p := range pods {
							for more := range 4 {
								if more > 0 && sync != outOfSync {
									break // these are looked at then alone
								}
								if !yield(scene{sync, revision, health, operation, p, more&1 != 0, more&2 != 0}) {
									return
								}
							}
						}
					}
				}
			}
		}
	}
}

// The writes of a release may be seen in any order, some twice and some never: nothing of what
// was seen before makes a later one healthy.
func TestNoOrderIsHealthyBeforeTheEnd(t *testing.T) {
	v1, v2 := repository+":v1", repository+":v2"
	writes := []scene{
		{synced, oldRevision, healthy, "Succeeded old", v1, true, false},
		{synced, oldRevision, healthy, "asked", v1, true, false},
		{outOfSync, ourRevision, healthy, "Running ours", v1, false, false},
		{outOfSync, ourRevision, healthy, "Succeeded ours", v1, false, false},
		{synced, ourRevision, progressing, "Running ours", v1 + " " + v2, true, false},
		{synced, ourRevision, healthy, "Running ours", v2, true, false},
	}
	end := scene{synced, ourRevision, healthy, "Succeeded ours", v2, true, false}
	for order := range permutations(len(writes)) {
		f := follower{subject: ourUpdate, sources: []int{0}, known: known}
		for i, w := range order {
			for again := range 2 {
				s := writes[w]
				v := f.look(Look{Now: at(float64(7*i + again)), Application: s.application()}, s.tree(), s.live(), &Windows{CanSync: true})
				if v.State.Final() {
					t.Fatalf("after %v it is %s %q", order[:i+1], v.State, v.Reason)
				}
			}
		}
		if v := f.look(Look{Now: at(60), Application: end.application()}, end.tree(), end.live(), nil); v.State != gitops.RolloutHealthy {
			t.Fatalf("after %v and the end it is %s %q", order, v.State, v.Reason)
		}
	}
}

func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		var next func(taken []int) bool
		next = func(taken []int) bool {
			if len(taken) == n {
				return yield(taken)
			}
			for i := range n {
				if !slices.Contains(taken, i) && !next(append(slices.Clip(taken), i)) {
					return false
				}
			}
			return true
		}
		next(nil)
	}
}
