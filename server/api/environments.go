package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Environments is the state of everything now.
type Environments struct {
	Branch       BranchState   `json:"branch"`
	Environments []Environment `json:"environments"`
	// SetAside are files, and what the git server sends, that are not parsed any more: a
	// process died twice while it did.
	SetAside []gitops.Suspect `json:"setAside,omitempty"`
}

// BranchState says how fresh the apps' tags are.
type BranchState struct {
	AsOf    time.Time `json:"asOf,omitzero"`     // when the tags were read; not there when they never were
	Problem string    `json:"problem,omitempty"` // why they cannot be read now
}

// Environment is the state of one environment.
type Environment struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed,omitempty"` // it left the configuration, and its last updates are being cancelled
	Lane    Lane   `json:"lane"`

	Holds   []gitops.Hold    `json:"holds,omitempty"`   // pins, freezes and stops in force there, as far as the caller may read something that they cover
	Freezes []gate.Scheduled `json:"freezes,omitempty"` // of the configuration, that hold there now; the same

	Apps []App `json:"apps"`
}

// Lane is the state of an environment's lane. It is read from the store alone, so
// every replica answers the same, whichever holds it.
type Lane struct {
	Ready        int                      `json:"ready"`                 // pending updates that nothing blocks
	Held         map[gitops.BlockKind]int `json:"held,omitempty"`        // pending updates that are blocked, by what blocks them
	Oldest       time.Time                `json:"oldest,omitzero"`       // when the oldest ready update was accepted
	Proposed     *Proposals               `json:"proposed,omitempty"`    // not there when no pull request is open
	Outage       *Outage                  `json:"outage,omitempty"`      // not there when nothing keeps the lane from writing
	Failed       *Failed                  `json:"failed,omitempty"`      // not there when nothing is
	LastSuccess  time.Time                `json:"lastSuccess,omitzero"`  // when an update was last on the branch
	LastProgress time.Time                `json:"lastProgress,omitzero"` // when an update last went on, a failure included
	Holder       string                   `json:"holder,omitempty"`      // the process that works the lane now
}

// Failed is what a person must fix: the failed updates of an environment that are
// neither dismissed nor overtaken.
type Failed struct {
	Updates int       `json:"updates"`
	Oldest  time.Time `json:"oldest"` // when the first accepted of them failed
	Apps    []string  `json:"apps"`   // sorted; those that the caller may read
}

// Proposals are the pull requests of an environment that are open.
type Proposals struct {
	Updates int       `json:"updates"`         // that are proposed
	Oldest  time.Time `json:"oldest,omitzero"` // when the first of their pull requests was opened, by the forge's clock
}

// Outage is what keeps a lane from writing, such as a git server that is away.
type Outage struct {
	Manifests []string `json:"manifests,omitempty"` // the manifest repositories that it is of: others are written; not there when it is of the whole lane

	Code    gitops.Code `json:"code"`
	Reason  string      `json:"reason"`
	Since   time.Time   `json:"since"`
	RetryAt time.Time   `json:"retryAt,omitzero"` // when the lane tries again
}

// OutageOf is what keeps the updates of an app from being written; nil when nothing does.
func (e Environment) OutageOf(app string) *Outage {
	o := e.Lane.Outage
	if o == nil || len(o.Manifests) == 0 {
		return o
	}
	for _, a := range e.Apps {
		if a.App == app && a.Manifests != "" && !slices.Contains(o.Manifests, a.Manifests) {
			return nil // its files are elsewhere
		}
	}
	return o
}

// Text is the reason, with the repository where it is of one; several name themselves.
func (o Outage) Text() string {
	switch len(o.Manifests) {
	case 0:
		return o.Reason
	case 1:
		return "manifest repository " + o.Manifests[0] + ": " + o.Reason
	}
	return "manifest repositories " + o.Reason
}

// App is what the branch has of an app in an environment.
type App struct {
	App       string `json:"app"`
	Manifests string `json:"manifests,omitempty"` // the name of the manifest repository, where there are several
	File      string `json:"file"`
	Tag       string `json:"tag,omitempty"`
	Problem   string `json:"problem,omitempty"` // why the tag cannot be read

	Rollout *AppRollout `json:"rollout,omitempty"` // of the update that was written last, while the app is not known to run it

	Differs []AppFile `json:"differs,omitempty"` // files of the same updates that do not have this tag
}

// AppFile is what the branch has of an app in one more file.
type AppFile struct {
	File    string `json:"file"`
	Tag     string `json:"tag,omitempty"`
	Problem string `json:"problem,omitempty"` // why the tag cannot be read
}

// environments answers with what the caller has the right to read: an environment is
// there when one of its apps may be. Its lane is shown as a whole, for what delays one
// app delays the others.
func (a *API) environments(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	if err := queryOf(r).done(); err != nil {
		return 0, nil, err
	}
	v := a.viewOf(callerOf(r))
	lanes, removed, err := a.lanes(r.Context(), v)
	if err != nil {
		return 0, nil, err
	}
	tags := a.Manifests.BranchTags(r.Context(), lastSuccess(lanes))
	answer := Environments{Branch: BranchState{AsOf: tags.AsOf}, Environments: []Environment{}}
	if tags.Problem != nil {
		answer.Branch.Problem = tags.Problem.Public()
	}
	if answer.SetAside, err = a.setAside(r.Context(), v); err != nil {
		return 0, nil, err
	}
	s, err := a.holding(r.Context())
	if err != nil {
		return 0, nil, err
	}
	rollouts, err := a.appRollouts(r.Context())
	if err != nil {
		return 0, nil, err
	}
	for _, name := range a.Environments {
		if v.environment(name) {
			e := Environment{Name: name, Lane: lanes[name], Apps: rollouts.addTo(name, v.apps(name, tags.Apps[name]))}
			e.Holds, e.Freezes = v.holding(name, s)
			answer.Environments = append(answer.Environments, e)
		}
	}
	for _, e := range removed {
		if v.environment(e.Name) {
			answer.Environments = append(answer.Environments, e)
		}
	}
	return http.StatusOK, answer, nil
}

// holding is what holds in an environment now, as far as it is about something that the
// caller may read there. Bad marks are left out: they have no end, and there are more and
// more of them.
func (v view) holding(environment string, s acts.State) ([]gitops.Hold, []gate.Scheduled) {
	in := func(environments, apps []string) bool {
		return (len(environments) == 0 || slices.Contains(environments, environment)) && v.hold(gitops.Hold{Environments: []string{environment}, Apps: apps})
	}
	return inForce(s, func(h gitops.Hold) bool { return h.Kind != gitops.HoldBad && in(h.Environments, h.Apps) }), s.Freezes.Schedule(in, s.At, s.At.Add(1))
}

// lanes returns the state of every configured environment's lane, and the
// environments that left the configuration while updates of theirs were open.
func (a *API) lanes(ctx context.Context, v view) (map[string]Lane, []Environment, error) {
	backlogs, err := a.Store.Backlogs(ctx)
	if err != nil {
		return nil, nil, err
	}
	failures, err := a.Store.Failures(ctx)
	if err != nil {
		return nil, nil, err
	}
	failed := failedIn(failures, v)
	lanes := make(map[string]Lane)
	var removed []Environment
	for _, b := range backlogs {
		lane := laneOf(b)
		lane.Failed = failed[b.Environment]
		switch {
		case slices.Contains(a.Environments, b.Environment):
			lanes[b.Environment] = lane
		case lane.Ready > 0 || len(lane.Held) > 0 || lane.Proposed != nil:
			removed = append(removed, Environment{Name: b.Environment, Removed: true, Lane: lane, Apps: []App{}})
		}
	}
	slices.SortFunc(removed, func(a, b Environment) int { return strings.Compare(a.Name, b.Name) })
	return lanes, removed, nil
}

// lastSuccess is when the newest update that is on the branch was recorded.
func lastSuccess(lanes map[string]Lane) (newest time.Time) {
	for _, lane := range lanes {
		if lane.LastSuccess.After(newest) {
			newest = lane.LastSuccess
		}
	}
	return newest
}

// failedIn is what failed in each environment, with the names that may be read.
func failedIn(failures []queue.Failure, v view) map[string]*Failed {
	found := make(map[string]*Failed)
	for _, f := range failures {
		in := found[f.Environment]
		if in == nil {
			in = &Failed{Oldest: f.Oldest, Apps: []string{}}
			found[f.Environment] = in
		}
		in.Updates += f.Count
		if f.Oldest.Before(in.Oldest) {
			in.Oldest = f.Oldest
		}
		if v.scope.Allows(f.App, f.Environment) {
			in.Apps = append(in.Apps, f.App)
		}
	}
	return found
}

func laneOf(b queue.Backlog) Lane {
	lane := Lane{Ready: b.Pending, Oldest: b.Oldest, LastSuccess: b.LastSuccess, LastProgress: b.LastProgress, Holder: b.Holder}
	if b.Proposed > 0 {
		lane.Proposed = &Proposals{b.Proposed, b.OldestProposed}
	}
	for kind, n := range b.Held {
		if n > 0 {
			if lane.Held == nil {
				lane.Held = make(map[gitops.BlockKind]int)
			}
			lane.Held[kind] = n
		}
	}
	if b.Outage != nil {
		lane.Outage = &Outage{Manifests: b.Outage.Repositories(), Code: b.Outage.Code, Reason: b.Outage.Reason, Since: b.OutageSince, RetryAt: b.Outage.RetryAt}
	}
	return lane
}
