package follow_test

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// hub is a follow.Argo.

func (h *hub) List(ctx context.Context) error {
	return h.call(ctx, "list", follow.Ref{}, func(*app) error { return h.unlist })
}

func (h *hub) Find(file rollout.Manifest, application string) (found follow.Found) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.apps {
		if !a.gone && (application == "" && file == fileOf(a.name) || application == a.ref.String()) {
			found.All = append(found.All, a.ref)
		}
	}
	if len(found.All) == 0 {
		found.Near = "other-prod is pinned to a tag"
	}
	return found
}

func (h *hub) Page(ref follow.Ref) string { return h.url + "/applications/" + ref.Name }

func (h *hub) Application(ctx context.Context, ref follow.Ref, refresh bool) (read *rollout.Application, err error) {
	what := "get"
	if refresh {
		what = "refresh"
	}
	err = h.call(ctx, what, ref, func(a *app) error {
		if refresh && a.forget > 0 {
			a.forget--
		} else if refresh {
			h.compare(a)
		}
		read = a.body()
		return nil
	})
	return read, err
}

// body is what Argo CD says of it.
func (a *app) body() *rollout.Application {
	at := now()
	b := &rollout.Application{}
	b.Metadata.Name, b.Metadata.Namespace = a.ref.Name, a.ref.Namespace
	b.Spec.Project = a.ref.Project
	b.Spec.Source = &rollout.Source{RepoURL: repository, TargetRevision: "main", Path: "apps/" + a.name}
	b.Spec.Source.Helm = &struct {
		ValueFiles     []string `json:"valueFiles"`
		FileParameters []struct {
			Path string `json:"path"`
		} `json:"fileParameters"`
	}{ValueFiles: []string{"values-prod.yaml"}}
	b.Spec.SyncPolicy = &rollout.SyncPolicy{Automated: &struct {
		Enabled  *bool `json:"enabled"`
		SelfHeal bool  `json:"selfHeal"`
	}{}}
	b.Status.Sync = rollout.Comparison{Status: "Synced", Revision: hash(a.revision)}
	b.Status.ReconciledAt = &at
	b.Status.Health.Status = "Healthy"
	if at.Before(a.since.Add(a.takes)) {
		b.Status.Health.Status = "Progressing"
	}
	b.Status.Resources = []rollout.Resource{{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: a.name, Status: "Synced", Health: &rollout.Health{Status: b.Status.Health.Status}}}
	if a.change != nil {
		a.change(b)
	}
	return b
}

func (h *hub) Tree(ctx context.Context, ref follow.Ref) (tree *rollout.Tree, err error) {
	err = h.call(ctx, "tree", ref, func(a *app) error {
		tree = &rollout.Tree{Nodes: []rollout.Node{
			{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: a.name, UID: "1"},
			{Kind: "Pod", Namespace: "shop", Name: a.name + "-1", UID: "2", Images: []string{cmp.Or(a.image, imageOf(a.name)) + ":" + a.tag}, Health: &rollout.Health{Status: "Healthy"}},
		}}
		tree.Nodes[1].ParentRefs = append(tree.Nodes[1].ParentRefs, struct {
			Group string `json:"group"`
			Kind  string `json:"kind"`
			Name  string `json:"name"`
			UID   string `json:"uid"`
		}{"apps", "Deployment", a.name, "1"})
		return nil
	})
	return tree, err
}

func (h *hub) Managed(ctx context.Context, ref follow.Ref) (managed []rollout.Managed, err error) {
	err = h.call(ctx, "managed", ref, func(a *app) error {
		live := fmt.Sprintf(`{"spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "%s:%s"}]}}}}`, cmp.Or(a.image, imageOf(a.name)), a.tag)
		managed = []rollout.Managed{{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: a.name, LiveState: live, TargetState: live}}
		return nil
	})
	return managed, err
}

func (h *hub) Windows(ctx context.Context, ref follow.Ref) (windows *rollout.Windows, err error) {
	err = h.call(ctx, "windows", ref, func(*app) error {
		windows = &rollout.Windows{CanSync: true}
		return nil
	})
	return windows, err
}
