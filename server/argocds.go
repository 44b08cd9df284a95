package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// argoCD is one entry of argocd: an instance of Argo CD and some of its projects. It outlives
// the configuration that it was made for, as long as the ones after it say the same of it.
type argoCD struct {
	settings config.ArgoCD
	ca       []byte // contents of its file
	client   *argocd.Client
	index    *argocd.Index
}

// argoCDs are those of one configuration, in its order.
type argoCDs []*argoCD

// newArgoCDs makes those of a configuration, and keeps those of the one before of which it says
// the same. It does not use the network.
func newArgoCDs(c config.Config, before argoCDs, recorder argocd.Recorder, logger *slog.Logger) (all argoCDs, err error) {
	var problems []error
	for i, settings := range c.ArgoCD {
		ca, _ := os.ReadFile(settings.CAFile) // an error is that of its certificates
		if was := before.of(settings, ca); was != nil {
			all = append(all, was)
			continue
		}
		made, err := newArgoCD(settings, ca, append(slices.Clone(all), before...).at(settings.URL), recorder, logger)
		if err != nil {
			problems = append(problems, gitops.PrefixField(config.ArgoCDField(i), err))
			continue
		}
		all = append(all, made)
	}
	return all, errors.Join(problems...)
}

// of is the one that was made for the same.
func (all argoCDs) of(settings config.ArgoCD, ca []byte) *argoCD {
	for _, a := range all {
		if reflect.DeepEqual(a.settings, settings) && bytes.Equal(a.ca, ca) {
			return a
		}
	}
	return nil
}

// at is the client of an instance; nil without one.
func (all argoCDs) at(url string) *argocd.Client {
	for _, a := range all {
		if a.settings.URL == url {
			return a.client
		}
	}
	return nil
}

func newArgoCD(settings config.ArgoCD, ca []byte, beside *argocd.Client, recorder argocd.Recorder, logger *slog.Logger) (*argoCD, error) {
	roots, err := readRoots("caFile", settings.CAFile)
	if err != nil {
		return nil, err
	}
	client, err := argocd.New(argocd.Config{
		URL: settings.URL, TokenFile: settings.TokenFile, RootCAs: roots, Projects: settings.Projects, Now: now, Beside: beside, Logger: logger, Recorder: recorder,
	})
	if err != nil {
		return nil, err
	}
	return &argoCD{settings, ca, client, argocd.NewIndex(client)}, nil
}

// endUnused lets go of the connections of those that a later configuration does not use.
func (all argoCDs) endUnused(later argoCDs) {
	for _, a := range all {
		if later.of(a.settings, a.ca) != a {
			a.client.Close()
		}
	}
}

// argoCD is a follow.Argo.
var _ follow.Argo = (*argoCD)(nil)

// List implements [follow.Argo].
func (a *argoCD) List(ctx context.Context) error { return a.index.List(ctx) }

// Find implements [follow.Argo].
func (a *argoCD) Find(file rollout.Manifest, application string) (found follow.Found) {
	if application != "" {
		if named, err := argocd.ParseRef(application); err == nil { // which the configuration has checked
			if ref, ok := a.index.Named(named); ok {
				found.All = []follow.Ref{follow.Ref(ref)}
			}
		}
		return found
	}
	matches, near := a.index.Known(file)
	for _, m := range matches {
		found.All = append(found.All, follow.Ref(m.Ref))
	}
	found.Near = strings.Join(near, "; ")
	return found
}

// Application implements [follow.Argo].
func (a *argoCD) Application(ctx context.Context, ref follow.Ref, refresh bool) (*rollout.Application, error) {
	read, err := a.client.Application(ctx, argocd.Ref(ref), refresh)
	var known *gitops.Error
	if errors.Is(err, argocd.ErrNotCompared) && errors.As(err, &known) {
		return nil, known.WithCause(follow.ErrNotCompared)
	}
	if err != nil {
		return nil, err
	}
	return &read, nil
}

// Tree implements [follow.Argo].
func (a *argoCD) Tree(ctx context.Context, ref follow.Ref) (*rollout.Tree, error) {
	tree, err := a.client.Tree(ctx, argocd.Ref(ref))
	return &tree, err
}

// Managed implements [follow.Argo].
func (a *argoCD) Managed(ctx context.Context, ref follow.Ref) ([]rollout.Managed, error) {
	return a.client.ManagedResources(ctx, argocd.Ref(ref), "", "")
}

// Windows implements [follow.Argo].
func (a *argoCD) Windows(ctx context.Context, ref follow.Ref) (*rollout.Windows, error) {
	windows, err := a.client.SyncWindows(ctx, argocd.Ref(ref))
	return &windows, err
}

// Page implements [follow.Argo].
func (a *argoCD) Page(ref follow.Ref) string { return a.client.Page(argocd.Ref(ref)) }
