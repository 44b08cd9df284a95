package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
)

// workload is a live object with images.
type workload struct {
	Managed
	images []string // of its pods' template, in no order
	idle   bool     // it is to have no pods now
	holds  string   // what keeps its pods from being replaced until a person acts; "" where nothing does
}

// liveWorkloads reads the objects that name images. What cannot be read is left out.
func liveWorkloads(all []Managed) (workloads []workload) {
	for _, m := range all {
		var live struct {
			Spec   map[string]any `json:"spec"`
			Status struct {
				Desired *int `json:"desiredNumberScheduled"`
			} `json:"status"`
		}
		if json.Unmarshal([]byte(m.LiveState), &live) != nil {
			continue
		}
		w := workload{Managed: m, images: imagesIn(live.Spec, 0)}
		if len(w.images) == 0 {
			continue
		}
		switch m.Kind {
		case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "Rollout":
			w.idle = live.Spec["replicas"] == float64(0)
		case "DaemonSet":
			w.idle = live.Status.Desired != nil && *live.Status.Desired == 0
		case "Pod":
		default: // such as a CronJob, which has pods now and then
			w.idle = true
		}
		w.holds = updateHeld(m.Kind, live.Spec["updateStrategy"])
		workloads = append(workloads, w)
	}
	return workloads
}

// updateHeld says by which update strategy old pods stay until a person acts: Argo CD calls such a
// workload Healthy.
func updateHeld(kind string, strategy any) string {
	if kind != "StatefulSet" && kind != "DaemonSet" {
		return ""
	}
	of, _ := strategy.(map[string]any)
	if of["type"] == "OnDelete" {
		return "its strategy is OnDelete"
	}
	rolling, _ := of["rollingUpdate"].(map[string]any)
	if partition, _ := rolling["partition"].(float64); partition > 0 {
		return fmt.Sprintf("its partition is %.0f", partition)
	}
	return ""
}

// deepest bounds how deep in an object images are looked for.
const deepest = 12

// imagesIn returns every "image" of an object: of containers, and of custom resources.
func imagesIn(value any, depth int) (images []string) {
	if depth > deepest {
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && key == "image" && text != "" {
				images = append(images, text)
			} else {
				images = append(images, imagesIn(inner, depth+1)...)
			}
		}
	case []any:
		for _, inner := range v {
			images = append(images, imagesIn(inner, depth+1)...)
		}
	}
	slices.Sort(images)
	return images
}

// match classifies the workload by its template. A template with the update's image and another
// tag of the same repository is the update's.
func (w workload) match(m matcher) match {
	best := foreign
	for _, i := range w.images {
		switch found := m.match(i); {
		case found == ours:
			return ours
		case found == byDigest || best == foreign:
			best = found
		}
	}
	return best
}

// other is an image of the update's repository that is not the update's.
func (w workload) other(m matcher) string {
	for _, i := range w.images {
		if found := m.match(i); found == another || found == byDigest {
			return i
		}
	}
	return ""
}

// lacks says what a workload of the update lacks; "" if all its pods run the update. An
// admission controller may have replaced the tag by a digest: such a pod counts if it was
// created after the update was written.
func (w workload) lacks(f forest, pods []Node, m matcher) string {
	running := 0
	for _, p := range pods {
		if !w.owns(f, p) {
			continue
		}
		var has [byDigest + 1]bool
		var other string
		for _, i := range p.Images {
			found := m.match(i)
			has[found] = true
			if found == another && !slices.Contains(w.images, i) {
				return "pod " + p.Name + " runs " + parseReference(i).String() + ", not " + m.Tag
			}
			if found == another || found == byDigest {
				other = i
			}
		}
		switch {
		case has[ours], has[byDigest] && p.CreatedAt != nil && p.CreatedAt.After(m.Since):
			running++
		case other != "":
			return "pod " + p.Name + " runs " + parseReference(other).String() + ", not " + m.Tag
		}
	}
	if running == 0 && !w.idle {
		return w.Kind + " " + w.Name + " has no pod with the update yet"
	}
	return ""
}

// owns reports whether the workload is the topmost owner of a pod.
func (w workload) owns(f forest, pod Node) bool {
	kind, namespace, name := f.root(pod)
	return w.Kind == kind && w.Namespace == namespace && w.Name == name
}
