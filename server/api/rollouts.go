package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// AppRollout is where the update of an app that was written last stands in the cluster.
type AppRollout struct {
	Update string              `json:"update"` // its id
	Tag    string              `json:"tag"`
	State  gitops.RolloutState `json:"state"`
	Reason string              `json:"reason,omitempty"`
	Since  time.Time           `json:"since"`
}

// appRollouts are those of the apps that are not known to run what was written last, by
// environment.
type appRollouts map[string][]gitops.Update

func (a *API) appRollouts(ctx context.Context) (appRollouts, error) {
	all, err := a.Store.NotRunning(ctx)
	by := make(appRollouts)
	for _, u := range all {
		by[u.Environment] = append(by[u.Environment], u)
	}
	return by, err
}

// addTo adds them to the apps of an environment, which are sorted. The list is shared, and is
// copied only where something is added.
func (r appRollouts) addTo(environment string, apps []App) []App {
	copied := false
	for _, u := range r[environment] {
		at, found := slices.BinarySearchFunc(apps, u.App, func(a App, name string) int { return strings.Compare(a.App, name) })
		if !found {
			continue // it left the configuration, or may not be read
		}
		if !copied {
			apps, copied = slices.Clone(apps), true
		}
		apps[at].Rollout = &AppRollout{Update: u.ID, Tag: u.Tag, State: u.Rollout.State, Reason: u.Rollout.Reason, Since: u.Rollout.Since}
	}
	return apps
}

// rolloutOf is where the update that was written last of an app stands in the cluster; nil where
// it is not followed there, and where the store has forgotten it.
func (a *API) rolloutOf(ctx context.Context, h gitops.Head) (*gitops.Rollout, error) {
	if h.WrittenID == "" {
		return nil, nil
	}
	u, err := a.Store.Update(ctx, h.WrittenID)
	if gitops.CodeOf(err) == gitops.NotFound {
		return nil, nil
	}
	return u.Rollout, err
}
