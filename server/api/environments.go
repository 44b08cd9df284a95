package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Environments says how everything stands now.
type Environments struct {
	Origin       OriginState   `json:"origin"`
	Environments []Environment `json:"environments"`
}

// OriginState says how fresh the apps' tags are.
type OriginState struct {
	AsOf    time.Time `json:"asOf,omitzero"`     // when the tags were read; not there when they never were
	Problem string    `json:"problem,omitempty"` // why they cannot be read now
}

// Environment is how one environment stands.
type Environment struct {
	Name string `json:"name"`
	Lane Lane   `json:"lane"`
	Apps []App  `json:"apps"`
}

// Lane is how an environment's lane stands. It is read from the store alone, so
// every replica tells the same of it, whoever holds it.
type Lane struct {
	Pending     int          `json:"pending"`
	Oldest      time.Time    `json:"oldest,omitzero"`      // when the oldest pending update was accepted
	Waits       *gitops.Step `json:"waits,omitempty"`      // the attempt that left the newest pending update waiting, and why
	LastSuccess time.Time    `json:"lastSuccess,omitzero"` // when an update last was on origin, committed or found there
	Holder      string       `json:"holder,omitempty"`     // the process that works the lane now
}

// App is what origin's branch says of an app in an environment.
type App struct {
	App     string `json:"app"`
	File    string `json:"file"`
	Tag     string `json:"tag,omitempty"`
	Problem string `json:"problem,omitempty"` // why the tag cannot be told
}

func (a *API) environments(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	if err := queryOf(r).done(); err != nil {
		return 0, nil, err
	}
	lanes, err := a.lanes(r.Context())
	if err != nil {
		return 0, nil, err
	}
	tips := a.Origin.Tips(r.Context())
	answer := Environments{Origin: OriginState{AsOf: tips.AsOf}, Environments: []Environment{}}
	if tips.Problem != nil {
		answer.Origin.Problem = tips.Problem.Sentence()
	}
	apps := make(map[string][]App)
	for _, tip := range tips.Apps {
		apps[tip.Environment] = append(apps[tip.Environment], App{tip.App, tip.File, tip.Tag, tip.Problem})
	}
	for _, name := range a.Environments {
		e := Environment{Name: name, Lane: lanes[name], Apps: apps[name]}
		if e.Apps == nil {
			e.Apps = []App{}
		}
		answer.Environments = append(answer.Environments, e)
	}
	return http.StatusOK, answer, nil
}

// lanes is the state of every configured environment's lane.
func (a *API) lanes(ctx context.Context) (map[string]Lane, error) {
	backlogs, err := a.Store.Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	lanes := make(map[string]Lane)
	for _, b := range backlogs {
		lanes[b.Environment] = Lane{Pending: b.Pending, Oldest: b.Oldest}
	}
	for _, name := range a.Environments {
		lane := lanes[name]
		if lane.LastSuccess, err = a.lastSuccess(ctx, name); err != nil {
			return nil, err
		}
		if lane.Pending > 0 {
			if lane.Waits, err = a.waits(ctx, name); err != nil {
				return nil, err
			}
		}
		lanes[name] = lane
	}
	return lanes, nil
}

func (a *API) lastSuccess(ctx context.Context, environment string) (last time.Time, err error) {
	for _, state := range []gitops.State{gitops.Committed, gitops.Unchanged} {
		newest, err := a.newest(ctx, environment, state)
		if err != nil {
			return last, err
		}
		if newest.SettledAt.After(last) {
			last = newest.SettledAt
		}
	}
	return last, nil
}

// waits is the last attempt that left the lane's newest pending update where it
// is; nil when none was made. What keeps a lane from writing keeps all of its
// updates waiting.
func (a *API) waits(ctx context.Context, environment string) (*gitops.Step, error) {
	newest, err := a.newest(ctx, environment, gitops.Pending)
	if err != nil || newest.ID == "" {
		return nil, err
	}
	whole, err := a.Store.Update(ctx, newest.ID)
	if err != nil || len(whole.Steps) == 0 {
		return nil, err
	}
	last := whole.Steps[len(whole.Steps)-1]
	if last.State != gitops.Pending || last.Attempts == 0 {
		return nil, nil
	}
	return &last, nil
}

// newest is the newest update of an environment in a state; the zero update when
// there is none.
func (a *API) newest(ctx context.Context, environment string, state gitops.State) (gitops.Update, error) {
	found, _, err := a.Store.Updates(ctx, queue.UpdateFilter{Environment: environment, State: state}, queue.Page{Limit: 1})
	if err != nil || len(found) == 0 {
		return gitops.Update{}, err
	}
	return found[0], nil
}
