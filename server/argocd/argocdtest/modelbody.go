package argocdtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// stamp is a time as Kubernetes writes it: of a second.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// body is the Application, as GET answers it.
func (m *Model) body() map[string]any {
	metadata := map[string]any{
		"name": m.app.Name, "namespace": m.app.Namespace, "uid": "uid-" + m.app.Namespace + "-" + m.app.Name, "creationTimestamp": "2026-11-26T11:29:54Z",
	}
	if !m.status.deleting.IsZero() {
		metadata["deletionTimestamp"] = stamp(m.status.deleting)
	}
	body := map[string]any{"metadata": metadata, "spec": m.spec(), "status": m.statusBody()}
	if m.status.operation.asked {
		body["operation"] = map[string]any{"sync": m.at(m.status.operation.revision), "initiatedBy": map[string]any{"automated": true}, "retry": map[string]any{"limit": 5}}
	}
	return body
}

func (m *Model) spec() map[string]any {
	policy := map[string]any{"syncOptions": []string{"CreateNamespace=true"}}
	if !m.app.Manual {
		policy["automated"] = map[string]any{"prune": true, "selfHeal": true}
	}
	spec := map[string]any{
		"project": m.app.Project, "syncPolicy": policy,
		"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": m.app.Name},
	}
	if len(m.app.Sources) == 1 {
		spec["source"] = m.app.Sources[0].body()
		return spec
	}
	sources := make([]any, len(m.app.Sources))
	for i, source := range m.app.Sources {
		sources[i] = source.body()
	}
	spec["sources"] = sources
	return spec
}

func (s Source) body() map[string]any {
	body := map[string]any{"repoURL": s.RepoURL, "targetRevision": s.TargetRevision}
	if s.Path != "" {
		body["path"] = s.Path
	}
	if s.Ref != "" {
		body["ref"] = s.Ref
	}
	if s.ValueFiles != nil {
		body["helm"] = map[string]any{"valueFiles": s.ValueFiles}
	}
	return body
}

// at names a revision as Argo CD does: of the one source, or of each of several.
func (m *Model) at(revision string) map[string]any {
	if len(m.app.Sources) == 1 {
		return map[string]any{"revision": revision}
	}
	revisions := make([]string, len(m.app.Sources))
	for i := range revisions {
		revisions[i] = "5f0b87c04eb088c548d06c383720a1f49e8b6840" // the other repositories stand
	}
	revisions[m.app.Ours] = revision
	return map[string]any{"revisions": revisions}
}

func (m *Model) statusBody() map[string]any {
	s := m.status
	compared := m.at(s.revision)
	compared["status"] = s.sync
	health := map[string]any{"status": s.health, "lastTransitionTime": stamp(s.reconciled)}
	if s.reason != "" {
		health["message"] = s.reason
	}
	summary := map[string]any{}
	if images := m.images(); len(images) > 0 {
		summary["images"] = images
	}
	body := map[string]any{
		"sync": compared, "health": health, "summary": summary, "reconciledAt": stamp(s.reconciled), "history": m.historyBody(),
		"resources": []any{map[string]any{
			"group": m.group(), "version": "v1", "kind": m.app.Kind, "namespace": m.app.Name, "name": m.app.Name, "status": s.sync, "health": health,
		}},
	}
	if s.condition != "" {
		body["conditions"] = []any{map[string]any{"type": "ComparisonError", "message": s.condition, "lastTransitionTime": stamp(s.reconciled)}}
	}
	if s.operation.phase != "" {
		body["operationState"] = m.operationBody()
	}
	return body
}

func (m *Model) historyBody() []any {
	var history []any
	for i, revision := range m.status.history[max(0, len(m.status.history)-10):] {
		entry := m.at(revision)
		entry["id"] = i
		history = append(history, entry)
	}
	return history
}

func (m *Model) operationBody() map[string]any {
	o := m.status.operation
	body := map[string]any{"operation": map[string]any{"sync": m.at(o.revision)}, "phase": o.phase, "startedAt": stamp(o.started)}
	if o.message != "" {
		body["message"] = o.message
	}
	if o.finished.IsZero() {
		return body
	}
	result := m.at(o.result)
	word := "Synced"
	if o.phase != "Succeeded" {
		word = "SyncFailed"
	}
	result["resources"] = []any{map[string]any{
		"group": m.group(), "version": "v1", "kind": m.app.Kind, "namespace": m.app.Name, "name": m.app.Name, "status": word, "message": o.message, "hookPhase": "Running", "syncPhase": "Sync",
	}}
	body["syncResult"], body["finishedAt"] = result, stamp(o.finished)
	return body
}

func (m *Model) group() string {
	if m.app.Kind == "Rollout" {
		return "argoproj.io"
	}
	return "apps"
}

// images are those of the pods.
func (m *Model) images() (images []string) {
	if m.app.NoReplicas {
		return nil
	}
	for _, tag := range m.status.runs {
		images = append(images, m.app.Image+":"+tag)
	}
	return images
}

// nodes are the workload and its pods.
func (m *Model) nodes() []any {
	workload := m.app.Name + "-workload"
	nodes := []any{map[string]any{
		"group": m.group(), "version": "v1", "kind": m.app.Kind, "namespace": m.app.Name, "name": m.app.Name, "uid": workload,
		"health": map[string]any{"status": m.status.health, "message": m.status.reason},
	}}
	images := m.images()
	for i, image := range images {
		pod := map[string]any{
			"version": "v1", "kind": "Pod", "namespace": m.app.Name, "name": m.pod(m.status.runs[i]), "uid": "pod-" + m.status.runs[i],
			"images": []string{image}, "health": map[string]any{"status": "Healthy"},
			"parentRefs": []any{map[string]any{"group": m.group(), "kind": m.app.Kind, "name": m.app.Name, "uid": workload}},
			"info":       []any{map[string]any{"name": "Status Reason", "value": "Running"}},
		}
		if m.app.PodsFail != "" && i == len(images)-1 && m.status.health != "Healthy" {
			pod["health"] = map[string]any{"status": "Degraded", "message": "Back-off pulling image " + image}
			pod["info"] = []any{map[string]any{"name": "Status Reason", "value": m.app.PodsFail}}
		}
		nodes = append(nodes, pod)
	}
	return nodes
}

// managed is the workload as it is and as it is to be.
func (m *Model) managed() map[string]any {
	return map[string]any{
		"group": m.group(), "kind": m.app.Kind, "namespace": m.app.Name, "name": m.app.Name,
		"liveState": m.manifest(m.status.live), "targetState": m.manifest(m.wanted(m.status.revision)),
	}
}

// manifest is the workload with a tag, in JSON.
func (m *Model) manifest(tag string) string {
	replicas := 1
	if m.app.NoReplicas {
		replicas = 0
	}
	container := map[string]any{"name": "api", "image": m.app.Image + ":" + tag}
	text, _ := json.Marshal(map[string]any{ // strings and numbers can always be encoded
		"apiVersion": m.group() + "/v1", "kind": m.app.Kind, "metadata": map[string]any{"name": m.app.Name, "namespace": m.app.Name},
		"spec": map[string]any{"replicas": replicas, "template": map[string]any{"spec": map[string]any{"containers": []any{container}}}},
	})
	return string(text)
}

// pod is the name of the pods that have a tag.
func (m *Model) pod(tag string) string { return m.app.Name + "-" + tag }

// live is an object that is in the cluster.
func (m *Model) live(kind, name string) (manifest string, ok bool) {
	if kind == m.app.Kind && name == m.app.Name {
		return m.manifest(m.status.live), true
	}
	i := slices.IndexFunc(m.status.runs, func(tag string) bool { return kind == "Pod" && name == m.pod(tag) })
	if i < 0 || m.app.NoReplicas {
		return "", false
	}
	tag := m.status.runs[i]
	digest := m.app.Digests[tag]
	if digest == "" {
		digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(tag)))
	}
	container := map[string]any{"name": "api", "image": m.app.Image + ":" + tag, "imageID": m.app.Image + "@" + digest, "ready": true}
	text, _ := json.Marshal(map[string]any{ // strings can always be encoded
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": m.app.Name},
		"status": map[string]any{"phase": "Running", "containerStatuses": []any{container}},
	})
	return string(text), true
}
