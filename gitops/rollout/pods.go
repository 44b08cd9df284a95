package rollout

import (
	"slices"
	"strconv"
	"strings"
)

// forest is a resource tree with indexes.
type forest struct {
	nodes  []Node
	byUID  map[string]int
	latest map[string]int // the highest revision of the ReplicaSets of one owner
}

// longestLine bounds the steps from an object to its root, should the tree have a circle.
const longestLine = 8

func newForest(t Tree) forest {
	f := forest{nodes: t.Nodes, byUID: make(map[string]int, len(t.Nodes)), latest: make(map[string]int)}
	for i, n := range t.Nodes {
		f.byUID[n.UID] = i
	}
	for _, n := range t.Nodes {
		if owner, revision, ok := replicaSet(n); ok {
			f.latest[owner] = max(f.latest[owner], revision)
		}
	}
	return f
}

// replicaSet reads which revision of its owner a ReplicaSet is.
func replicaSet(n Node) (owner string, revision int, ok bool) {
	if n.Kind != "ReplicaSet" || len(n.ParentRefs) == 0 {
		return "", 0, false
	}
	revision, err := strconv.Atoi(strings.TrimPrefix(n.info("Revision"), "Rev:"))
	return n.ParentRefs[0].UID, revision, err == nil
}

func (n Node) info(name string) string {
	for _, i := range n.Info {
		if i.Name == name {
			return i.Value
		}
	}
	return ""
}

// currentPods returns the pods that show what is released. It leaves out pods that end, pods of
// Jobs, which keep the image they were created with, and pods of older ReplicaSets, which run on
// for a while after a blue-green release.
func (f forest) currentPods() (pods []Node) {
	for _, n := range f.nodes {
		if n.Kind == "Pod" && n.Group == "" && !n.isEnding() && !f.isLeftOver(n) {
			pods = append(pods, n)
		}
	}
	return pods
}

// isEnding reports whether a pod is being deleted, or came to its end.
func (n Node) isEnding() bool {
	switch n.info("Status Reason") {
	case "Terminating", "Completed", "Succeeded", "Failed", "Evicted", "NodeLost", "NodeShutdown", "Terminated", "Shutdown", "Preempting":
		return true
	}
	return n.Health != nil && (n.Health.Message == "Pending deletion" || strings.HasPrefix(n.Health.Message, "Pod has been deleted"))
}

func (f forest) isLeftOver(pod Node) bool {
	for range longestLine {
		if len(pod.ParentRefs) == 0 {
			return false
		}
		parent := pod.ParentRefs[0]
		if parent.Kind == "Job" {
			return true
		}
		i, ok := f.byUID[parent.UID]
		if !ok {
			return false
		}
		pod = f.nodes[i]
		if owner, revision, ok := replicaSet(pod); ok {
			return revision < f.latest[owner]
		}
	}
	return false
}

// root names the topmost owner of a node.
func (f forest) root(n Node) (kind, namespace, name string) {
	kind, namespace, name = n.Kind, n.Namespace, n.Name
	for range longestLine {
		if len(n.ParentRefs) == 0 {
			break
		}
		parent := n.ParentRefs[0]
		kind, name = parent.Kind, parent.Name
		i, ok := f.byUID[parent.UID]
		if !ok {
			break
		}
		n = f.nodes[i]
	}
	return kind, namespace, name
}

// imagesOf are all images of these pods.
func imagesOf(pods []Node) (images []string) {
	for _, p := range pods {
		images = append(images, p.Images...)
	}
	return images
}

// troubledPod says why a pod does not run, preferably one with the update's image; "" if all do.
func (j *judgement) troubledPod() string {
	if j.Tree == nil {
		return ""
	}
	pods := newForest(*j.Tree).currentPods()
	m := newMatcher(j.Subject, imagesOf(pods))
	var found string
	for _, p := range pods {
		why := p.info("Status Reason")
		if p.Health == nil || p.Health.Status == healthy || why == "" || why == "Running" {
			continue
		}
		if p.Health.Message != "" {
			why += ": " + p.Health.Message
		}
		isOurs := slices.ContainsFunc(p.Images, func(i string) bool { return m.match(i) == ours })
		if found == "" || isOurs {
			found = "pod " + p.Name + ": " + why
		}
		if isOurs {
			break
		}
	}
	return found
}

// drift names the first workload of the update that is OutOfSync, and the first other resource
// that is.
func (j *judgement) drift() (drifted, rest string) {
	f := newForest(*j.Tree)
	pods := f.currentPods()
	m := newMatcher(j.Subject, imagesOf(pods))
	type object struct{ kind, namespace, name string }
	own := make(map[object]bool)
	for _, p := range pods {
		if slices.ContainsFunc(p.Images, func(i string) bool { return m.match(i) != foreign }) {
			kind, namespace, name := f.root(p)
			own[object{kind, namespace, name}] = true
		}
	}
	for _, r := range j.Application.Status.Resources {
		if r.Status == synced || r.Status == "" {
			continue
		}
		isOwn := own[object{r.Kind, r.Namespace, r.Name}]
		if len(own) == 0 { // no pod tells which it is: then all that may be one
			isOwn = !r.RequiresPruning
		}
		switch {
		case isOwn && drifted == "":
			drifted = r.words("")
		case !isOwn && rest == "":
			rest = r.words("")
		}
	}
	if len(own) > 0 || drifted != "" || rest != "" {
		return drifted, rest
	}
	return "the Application", "" // it names no resource
}
