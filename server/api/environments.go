package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
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
	Pending     int       `json:"pending"`
	Oldest      time.Time `json:"oldest,omitzero"`      // when the oldest pending update was accepted
	Waits       *Wait     `json:"waits,omitempty"`      // what keeps the lane from writing; not there when nothing does
	LastSuccess time.Time `json:"lastSuccess,omitzero"` // when updates last ended
	Holder      string    `json:"holder,omitempty"`     // the process that works the lane now
}

// Wait is what a lane waits for: somebody else's fault.
type Wait struct {
	Since   time.Time   `json:"since"`
	Code    gitops.Code `json:"code"`
	Reason  string      `json:"reason"`
	RetryAt time.Time   `json:"retryAt,omitzero"` // when it means to try again
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
		answer.Origin.Problem = tips.Problem.Public()
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

// lanes is the state of every lane that there is.
func (a *API) lanes(ctx context.Context) (map[string]Lane, error) {
	backlogs, err := a.Store.Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	lanes := make(map[string]Lane)
	for _, b := range backlogs {
		lane := Lane{Pending: b.Pending, Oldest: b.Oldest, LastSuccess: b.LastSuccess, Holder: b.Holder}
		if !b.FailingSince.IsZero() {
			lane.Waits = &Wait{Since: b.FailingSince, Code: b.Code, Reason: b.Reason, RetryAt: b.RetryAt}
		}
		lanes[b.Environment] = lane
	}
	return lanes, nil
}
