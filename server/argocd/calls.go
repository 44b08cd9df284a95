package argocd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// Application reads an Application. With refresh Argo CD first compares it with git, which
// needs no other right and takes as long as that takes; two refreshes of an Application at
// the same time are one. An answer may be of a comparison that had begun before: a refresh
// that comes during one is lost with it, so whoever misses a revision asks again.
//
// Its errors are [*gitops.Error]: Unauthorized is for the token; Forbidden says that it is
// forbidden or not there, which Argo CD does not tell apart; NotFound that it is not there;
// Rejected that its project does not allow it. Everything else says nothing of the
// Application; [ErrNotCompared] is one of these. An error with RetryAfter, and no other, says
// that the instance cannot be asked for so long.
func (c *Client) Application(ctx context.Context, ref Ref, refresh bool) (rollout.Application, error) {
	if refresh {
		return c.refresh(ctx, ref)
	}
	return c.application(ctx, ref, false)
}

func (c *Client) application(ctx context.Context, ref Ref, refresh bool) (a rollout.Application, err error) {
	r := request{what: "Application " + ref.String(), path: path(ref), query: ref.query(), refresh: refresh, most: maxObject}
	if refresh {
		r.query.Set("refresh", "normal")
	}
	err = c.get(ctx, r, func(body io.Reader) error {
		if err := into(&a)(body); err != nil {
			return err
		}
		a.Spec.Project = cmp.Or(a.Spec.Project, noProject)
		// The worst error would be a verdict on another Application.
		if got := (Ref{a.Spec.Project, a.Metadata.Namespace, a.Metadata.Name}); got.Name != ref.Name || got.Project != ref.Project || ref.Namespace != "" && got.Namespace != ref.Namespace {
			return &wrongAnswerError{fmt.Sprintf("answers with Application %s", gitops.Clip(got.String(), maxQuoted))}
		}
		return nil
	})
	if err != nil {
		return rollout.Application{}, err
	}
	return a, nil
}

// path is the path of an Application, or of something below it.
func path(ref Ref, below ...string) []string {
	return append([]string{"applications", url.PathEscape(ref.Name)}, below...)
}

// Tree reads what an Application's objects have made, from Argo CD's cache. Errors are as of
// [Client.Application].
func (c *Client) Tree(ctx context.Context, ref Ref) (rollout.Tree, error) {
	var tree rollout.Tree
	err := c.get(ctx, request{what: "resource tree of " + ref.String(), path: path(ref, "resource-tree"), query: ref.query(), object: true, most: maxMany}, into(&tree))
	if err != nil {
		return rollout.Tree{}, err
	}
	return tree, nil
}

// ManagedResources reads the objects of one kind, or of each where group and kind are "", that
// the Application has in git or in the cluster, as they are and as they are to be. Errors are as of [Client.Application].
func (c *Client) ManagedResources(ctx context.Context, ref Ref, group, kind string) ([]rollout.Managed, error) {
	query := ref.query()
	for name, value := range map[string]string{"group": group, "kind": kind} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var answer struct {
		Items []rollout.Managed `json:"items"`
	}
	err := c.get(ctx, request{what: "managed resources of " + ref.String(), path: path(ref, "managed-resources"), query: query, object: true, most: maxMany}, into(&answer))
	if err != nil {
		return nil, err
	}
	return answer.Items, nil
}

// SyncWindows says whether the Application may be synced now. Errors are as of
// [Client.Application].
func (c *Client) SyncWindows(ctx context.Context, ref Ref) (rollout.Windows, error) {
	var windows rollout.Windows
	err := c.get(ctx, request{what: "sync windows of " + ref.String(), path: path(ref, "syncwindows"), query: ref.query(), most: maxObject}, into(&windows))
	if err != nil {
		return rollout.Windows{}, err
	}
	return windows, nil
}

// Live reads an object from the cluster: its manifest in JSON, as it is now. Errors are as of
// [Client.Application]; NotFound may be of the object.
func (c *Client) Live(ctx context.Context, ref Ref, node rollout.Node) (json.RawMessage, error) {
	query := ref.query()
	for name, value := range map[string]string{
		"group": node.Group, "version": node.Version, "kind": node.Kind, "namespace": node.Namespace, "resourceName": node.Name,
	} {
		query.Set(name, value)
	}
	var answer struct {
		Manifest string `json:"manifest"`
	}
	what := fmt.Sprintf("%s %s of %s", node.Kind, node.Name, ref)
	err := c.get(ctx, request{what: what, path: path(ref, "resource"), query: query, object: true, most: maxObject}, func(body io.Reader) error {
		if err := into(&answer)(body); err != nil {
			return err
		}
		if !json.Valid([]byte(answer.Manifest)) {
			return &wrongAnswerError{"the object's manifest is not JSON"}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.RawMessage(answer.Manifest), nil
}

// User is whom Argo CD takes the token for.
type User struct {
	LoggedIn bool   `json:"loggedIn"` // false: it does not accept the token
	Username string `json:"username"`
}

// UserInfo asks whose the token is. A token that is not accepted is no error.
func (c *Client) UserInfo(ctx context.Context) (User, error) {
	var user User
	if err := c.get(ctx, request{what: "whose the token is", path: []string{"session", "userinfo"}, most: maxSaid}, into(&user)); err != nil {
		return User{}, err
	}
	return user, nil
}

// CanI asks whether the token may do something, as "get" or "sync", with every Application of
// a project.
func (c *Client) CanI(ctx context.Context, action, project string) (bool, error) {
	var answer struct {
		Value string `json:"value"`
	}
	r := request{
		what: fmt.Sprintf("whether the token may %s Applications of project %s", action, project),
		path: []string{"account", "can-i", "applications", url.PathEscape(action), url.PathEscape(project), "*"}, most: maxSaid,
	}
	err := c.get(ctx, r, func(body io.Reader) error {
		if err := into(&answer)(body); err != nil {
			return err
		}
		if answer.Value != "yes" && answer.Value != "no" {
			return &wrongAnswerError{fmt.Sprintf("answers %q, neither yes nor no", gitops.Clip(answer.Value, 60))}
		}
		return nil
	})
	return err == nil && answer.Value == "yes", err
}
