package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// plant is a node of a tree that grows.
type plant struct {
	kind, name, parent string
	images             []string
	status             string // the reason of a pod's status
	revision           int
	message            string // of a health that is not Healthy
	created            time.Time
}

func grow(plants ...plant) *Tree {
	t := &Tree{}
	kinds := make(map[string]string)
	for _, p := range plants {
		n := node(p.kind, p.name)
		n.Images, n.CreatedAt = p.images, &p.created
		n.UID = p.name
		kinds[p.name] = p.kind
		if p.parent != "" {
			parent := node(kinds[p.parent], p.parent)
			parent.UID = p.parent
			n = below(n, parent)
		}
		inform(&n, "Status Reason", p.status)
		if p.revision > 0 {
			inform(&n, "Revision", fmt.Sprint("Rev:", p.revision))
		}
		n.Health = &Health{Status: healthy}
		if p.message != "" {
			n.Health = &Health{Status: progressing, Message: p.message}
		}
		t.Nodes = append(t.Nodes, n)
	}
	return t
}

func inform(n *Node, name, value string) {
	n.Info = append(n.Info, struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}{name, value})
}

func pod(name, parent string, images ...string) plant {
	return plant{kind: "Pod", name: name, parent: parent, images: images, status: "Running", created: at(5)}
}

func (p plant) with(status, message string) plant {
	p.status, p.message = status, message
	return p
}

// object is a live one with a template of these images.
func object(kind, name, spec string, images ...string) Managed {
	return Managed{Kind: kind, Namespace: "myshop", Name: name, LiveState: `{"spec":{` + spec + `"template":{"spec":{"containers":[{"image":"` + strings.Join(images, `"},{"image":"`) + `"}]}}}}`}
}

const (
	tool    = "registry.example/mesh/proxy:v2"
	twoPods = `"replicas":2,`
	noPods  = `"replicas":0,`
	byOurs  = repository + "@" + ourDigest
	byOther = repository + "@" + othersDigest
)

var deployment = plant{kind: "Deployment", name: "api", revision: 2}

func set(name, parent string, revision int) plant {
	return plant{kind: "ReplicaSet", name: name, parent: parent, revision: revision}
}

// What runs decides, of an Application that is Synced and Healthy at a revision with the update.
func TestRuns(t *testing.T) {
	for _, test := range []struct {
		name    string
		digest  string
		tree    *Tree
		managed []Managed
		want    gitops.RolloutState
		reason  string
	}{
		{"beside containers of others", "", grow(pod("a", "", v2, tool, "busybox")), nil, gitops.RolloutHealthy, ""},
		{"an init container of the same image", "", grow(pod("a", "", v2, v2)), nil, gitops.RolloutHealthy, ""},
		{"by its digest", ourDigest, grow(pod("a", "", byOurs)), nil, gitops.RolloutHealthy, ""},
		{"by tag and digest", ourDigest, grow(pod("a", "", v2+"@"+ourDigest)), nil, gitops.RolloutHealthy, ""},
		{"by tag and a digest, ours not known", "", grow(pod("a", "", v2+"@"+ourDigest)), nil, gitops.RolloutHealthy, ""},
		{"by tag, the digest known", ourDigest, grow(pod("a", "", v2)), nil, gitops.RolloutHealthy, ""},
		{"by another digest", ourDigest, grow(pod("a", "", byOther)), nil, gitops.RolloutDegraded, "runs api@sha256:bbbbbbbbbbbb, not v2"},
		{"by another tag and digest", ourDigest, grow(pod("a", "", v1+"@"+othersDigest)), nil, gitops.RolloutDegraded, "runs api:v1, not v2"},
		{"without a tag", "", grow(pod("a", "", repository)), nil, gitops.RolloutDegraded, "runs api, not v2"},
		{"the tag, with another digest", ourDigest, grow(pod("a", "", v2+"@"+othersDigest)), nil, gitops.RolloutProgressing, "it is not known whether that is v2"},
		{"a digest, ours not known", "", grow(pod("a", "", byOther)), nil, gitops.RolloutProgressing, "it is not known whether that is v2"},
		{"a digest that an admission controller wrote", "", grow(deployment, pod("a", "api", byOther)), []Managed{object("Deployment", "api", twoPods, v2)}, gitops.RolloutHealthy, ""},
		{"... of before the update", "", grow(deployment, plant{kind: "Pod", name: "a", parent: "api", images: []string{byOther}, created: at(-5)}),
			[]Managed{object("Deployment", "api", twoPods, v2)}, gitops.RolloutProgressing, "pod a runs api@sha256:bbbbbbbbbbbb, not v2"},
		{"old pods that end", "", grow(deployment, pod("a", "api", v2), pod("b", "api", v1).with("Terminating", ""), pod("c", "api", v1).with("Running", "Pending deletion"),
			pod("d", "api", v1).with("Evicted", ""), pod("e", "api", v1).with("Completed", "")), nil, gitops.RolloutHealthy, ""},
		{"pods of an old ReplicaSet", "", grow(deployment, set("s1", "api", 1), set("s2", "api", 2), pod("a", "s1", v1), pod("b", "s2", v2)), nil, gitops.RolloutHealthy, ""},
		{"the newest ReplicaSet has another", "", grow(deployment, set("s1", "api", 1), set("s2", "api", 2), pod("a", "s1", v2), pod("b", "s2", v1)), nil, gitops.RolloutDegraded, "runs api:v1"},
		{"ten ReplicaSets", "", grow(deployment, set("s9", "api", 9), set("s10", "api", 10), pod("a", "s9", v1), pod("b", "s10", v2)), nil, gitops.RolloutHealthy, ""},
		{"a job of before", "", grow(deployment, plant{kind: "Job", name: "job"}, pod("a", "api", v2), pod("b", "job", v1)), nil, gitops.RolloutHealthy, ""},
		{"a partition of a StatefulSet", "", grow(plant{kind: "StatefulSet", name: "db"}, pod("db-0", "db", v1), pod("db-1", "db", v2)),
			[]Managed{object("StatefulSet", "db", twoPods+`"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":1}},`, v2)},
			gitops.RolloutPaused, "pod db-0 runs api:v1, not v2: StatefulSet db keeps its old pods, its partition is 1"},
		{"a StatefulSet without one", "", grow(plant{kind: "StatefulSet", name: "db"}, pod("db-0", "db", v1), pod("db-1", "db", v2)),
			[]Managed{object("StatefulSet", "db", twoPods+`"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}},`, v2)}, gitops.RolloutProgressing, "pod db-0 runs api:v1, not v2"},
		{"pods that somebody must delete", "", grow(plant{kind: "DaemonSet", name: "agent"}, pod("agent-x", "agent", v1)),
			[]Managed{object("DaemonSet", "agent", `"updateStrategy":{"type":"OnDelete"},`, v2)}, gitops.RolloutPaused, "DaemonSet agent keeps its old pods, its strategy is OnDelete"},
		{"a sidecar of the same repository", "", grow(deployment, pod("a", "api", v2, v1)), []Managed{object("Deployment", "api", twoPods, v1, v2)}, gitops.RolloutHealthy, ""},
		{"... and a pod without ours", "", grow(deployment, pod("a", "api", v2, v1), pod("b", "api", v1, v1)), []Managed{object("Deployment", "api", twoPods, v1, v2)},
			gitops.RolloutProgressing, "pod b runs api:v1, not v2"},
		{"a workload that is kept at another tag", "", grow(deployment, plant{kind: "Deployment", name: "old"}, pod("a", "api", v2), pod("b", "old", v1)),
			[]Managed{object("Deployment", "api", twoPods, v2), object("Deployment", "old", twoPods, v1)}, gitops.RolloutHealthy, ""},
		{"a pod of an operator with another tag", "", grow(deployment, plant{kind: "Thing", name: "thing"}, pod("a", "api", v2), pod("b", "thing", v1)),
			[]Managed{object("Deployment", "api", twoPods, v2)}, gitops.RolloutProgressing, "runs api:v1, not v2"},
		{"the Application sets the tag", "", grow(deployment, pod("a", "api", v1)), []Managed{object("Deployment", "api", twoPods, v1)}, gitops.RolloutDegraded, "runs api:v1, not v2"},
		{"no replicas", "", grow(deployment), []Managed{object("Deployment", "api", noPods, v2)}, gitops.RolloutHealthy, ""},
		{"no replicas of another tag", "", grow(deployment), []Managed{object("Deployment", "api", noPods, v1)}, gitops.RolloutDegraded, "runs api:v1, not v2"},
		{"no replicas of a StatefulSet", "", grow(), []Managed{object("StatefulSet", "db", noPods, v2)}, gitops.RolloutHealthy, ""},
		{"no replicas of a Rollout", "", grow(), []Managed{object("Rollout", "canary", noPods, v2)}, gitops.RolloutHealthy, ""},
		{"no node for a DaemonSet", "", grow(), []Managed{{Kind: "DaemonSet", LiveState: `{"spec":{"c":[{"image":"` + v2 + `"}]},"status":{"desiredNumberScheduled":0}}`}}, gitops.RolloutHealthy, ""},
		{"a DaemonSet without pods", "", grow(), []Managed{object("DaemonSet", "agent", "", v2)}, gitops.RolloutProgressing, "DaemonSet agent has no pod with the update yet"},
		{"replicas and no pods", "", grow(deployment), []Managed{object("Deployment", "api", "", v2)}, gitops.RolloutProgressing, "Deployment api has no pod with the update yet"},
		{"a CronJob between its runs", "", grow(), []Managed{{Kind: "CronJob", LiveState: `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"` + v2 + `"}]}}}}}}`}}, gitops.RolloutHealthy, ""},
		{"a CronJob of another tag", "", grow(), []Managed{{Kind: "CronJob", LiveState: `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"` + v1 + `"}]}}}}}}`}}, gitops.RolloutDegraded, "runs api:v1"},
		{"a resource of an operator", "", grow(), []Managed{{Kind: "Thing", LiveState: `{"spec":{"image":"` + v2 + `"}}`}}, gitops.RolloutHealthy, ""},
		{"nothing of it", "", grow(pod("a", "", tool)), []Managed{object("Deployment", "mesh", "", tool), {LiveState: "null"}, {LiveState: "{"}}, gitops.RolloutDegraded, "none of its workloads has the image " + repository},
		{"a mirror of the registry", "", grow(pod("a", "", "mirror.example:5000/cache/api:v2")), nil, gitops.RolloutHealthy, ""},
		{"a mirror, another tag", "", grow(pod("a", "", "mirror.example:5000/cache/api:v1")), nil, gitops.RolloutDegraded, "runs api:v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFollower()
			f.subject.Digest = test.digest
			var v Verdict
			for _, seconds := range []float64{10, 31} {
				v = f.look(Look{Now: at(seconds), Application: live.application()}, test.tree, test.managed, nil)
				if seconds == 10 && v.State == gitops.RolloutDegraded {
					t.Error("it is degraded at the first look: pods are seen late")
				}
			}
			expect(t, v, test.want, test.reason)
		})
	}
}

// An update need not name its repository: the tag finds it, and without the tag nothing is a
// verdict.
func TestRunsOfARepositoryThatIsNotKnown(t *testing.T) {
	for images, want := range map[string]gitops.RolloutState{
		v2: gitops.RolloutHealthy, v2 + " " + v1: gitops.RolloutProgressing, v1: gitops.RolloutProgressing, "": gitops.RolloutProgressing,
		v2 + " registry.example/mesh/proxy:v9": gitops.RolloutHealthy,
	} {
		f, s := newFollower(), live
		f.subject.Image, s.pods = "", images
		for _, seconds := range []float64{0, 60} {
			expect(t, f.look(Look{Now: at(seconds), Application: s.application()}, s.tree(), nil, nil), want, "")
		}
	}
}

// Registries have several names, and images short ones.
func TestRunsByAnotherNameOfTheRegistry(t *testing.T) {
	for image, name := range map[string]string{
		"nginx": "docker.io/library/nginx", "docker.io/acme/api": "acme/api", "localhost:5000/api": "localhost:5000/api",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/api": "123456789012.dkr-ecr.eu-west-1.on.aws/api",
	} {
		f := newFollower()
		f.subject.Image = image
		expect(t, f.look(Look{Now: epoch, Application: live.application()}, grow(pod("a", "", name+":v2"), pod("b", "", tool)), nil, nil), gitops.RolloutHealthy, "")
		expect(t, newFollowerOf(image).look(Look{Now: epoch, Application: live.application()}, grow(pod("a", "", name+":v1")), nil, nil), gitops.RolloutProgressing, "runs ")
	}
}

func newFollowerOf(image string) *follower {
	f := newFollower()
	f.subject.Image = image
	return f
}
