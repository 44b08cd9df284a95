package feedback_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// hub is a strict fake of GitHub, one call at a time: what GitHub would refuse is an error
// that fails the test.
type hub struct {
	mu           sync.Mutex
	refs         map[string]string // commits by "repository ref"
	made         []*made           // in their order
	calls        []called
	faults       []fault
	before       func(n int) // called before the nth call
	after        func(n int) // called after it
	page         int         // most Deployments in a list
	hangs        map[string]bool
	wrong        []string
	under        bool
	repositories map[string]error // that refuse
}

// made is a Deployment.
type made struct {
	id         int64
	repository string
	githubapp.NewDeployment
	at       time.Time
	statuses []githubapp.DeploymentStatus
}

// called is one call.
type called struct {
	what, repository string
	write            bool
	at               time.Time
}

// fault is what a call gets, after it was done or in place of that. One without an error is
// no fault.
type fault struct {
	err  error
	done bool
}

func newHub() *hub {
	return &hub{refs: make(map[string]string), page: 100, hangs: make(map[string]bool), repositories: make(map[string]error)}
}

// call does one call, or what is to happen in its place.
func (h *hub) call(ctx context.Context, what, repository string, write bool, do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under {
		h.wrong = append(h.wrong, "two calls at a time")
	}
	h.calls = append(h.calls, called{what, repository, write, now()})
	if h.before != nil {
		h.before(len(h.calls))
	}
	var f fault
	if len(h.faults) > 0 {
		f, h.faults = h.faults[0], h.faults[1:]
	}
	switch {
	case h.hangs[repository]:
		h.under = true
		h.mu.Unlock()
		<-ctx.Done()
		h.mu.Lock()
		h.under = false
		return gitops.Errorf(gitops.Unavailable, "GitHub's API did not answer in time").WithCause(ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	case h.repositories[repository] != nil:
		return h.repositories[repository]
	case f.err != nil && !f.done:
		return f.err
	}
	if err := do(); err != nil {
		return err
	}
	if h.after != nil {
		h.after(len(h.calls))
	}
	return cmp.Or(f.err, ctx.Err())
}

func (h *hub) Page(repository string) string {
	return "https://github.example/" + repository + "/deployments"
}

func (h *hub) Deployments(ctx context.Context, repository string) (newest []githubapp.Deployment, all bool, err error) {
	err = h.call(ctx, "list", repository, false, func() error {
		newest = h.list(repository, "")
		all = len(newest) <= h.page
		newest = newest[:min(h.page, len(newest))]
		return nil
	})
	return newest, all, err
}

func (h *hub) DeploymentsOf(ctx context.Context, repository, revision string) (newest []githubapp.Deployment, err error) {
	err = h.call(ctx, "search", repository, false, func() error {
		newest = h.list(repository, revision)
		return nil
	})
	return newest, err
}

func (h *hub) list(repository, revision string) (newest []githubapp.Deployment) {
	for _, d := range slices.Backward(h.made) {
		if d.repository == repository && (revision == "" || d.Revision == revision) {
			newest = append(newest, githubapp.Deployment{ID: d.id, Update: d.Payload.Update, CreatedAt: d.at})
		}
	}
	return newest
}

func (h *hub) LastStatus(ctx context.Context, repository string, deployment int64) (last githubapp.DeploymentStatus, err error) {
	err = h.call(ctx, "status", repository, false, func() error {
		d, err := h.find(repository, deployment)
		if err == nil && len(d.statuses) > 0 {
			last = d.statuses[len(d.statuses)-1]
		}
		return err
	})
	return last, err
}

func (h *hub) Commit(ctx context.Context, repository, ref string) (revision string, err error) {
	err = h.call(ctx, "commit "+ref, repository, false, func() error {
		revision = h.refs[repository+" "+ref]
		return nil
	})
	return revision, err
}

func (h *hub) Deploy(ctx context.Context, repository string, n githubapp.NewDeployment) (id int64, err error) {
	err = h.call(ctx, "deploy", repository, true, func() error {
		if !h.has(repository, n.Revision) {
			h.wrong = append(h.wrong, "a deployment of "+n.Revision+", which is no commit of "+repository)
		}
		h.describe(n.Description)
		id = int64(len(h.made) + 1)
		h.made = append(h.made, &made{id: id, repository: repository, NewDeployment: n, at: now()})
		return nil
	})
	return id, err
}

func (h *hub) has(repository, revision string) bool {
	for ref, commit := range h.refs {
		if commit == revision && strings.HasPrefix(ref, repository+" ") {
			return true
		}
	}
	return false
}

func (h *hub) describe(description string) {
	if utf8.RuneCountInString(description) > githubapp.MaxDescription {
		h.wrong = append(h.wrong, "a description that is too long: "+description)
	}
}

// SetStatus has success end what was a success before in the environment, as GitHub does.
func (h *hub) SetStatus(ctx context.Context, repository string, deployment int64, s githubapp.DeploymentStatus) error {
	return h.call(ctx, "set", repository, true, func() error {
		d, err := h.find(repository, deployment)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"queued", "pending", "in_progress", "success", "failure", "inactive"}, s.State) {
			h.wrong = append(h.wrong, "the state "+s.State)
		}
		h.describe(s.Description)
		d.statuses = append(d.statuses, s)
		for _, other := range h.made {
			if s.State == "success" && other != d && other.repository == repository && other.Environment == d.Environment && other.state() == "success" {
				other.statuses = append(other.statuses, githubapp.DeploymentStatus{State: "inactive"})
			}
		}
		return nil
	})
}

func (h *hub) find(repository string, deployment int64) (*made, error) {
	if deployment < 1 || deployment > int64(len(h.made)) || h.made[deployment-1].repository != repository {
		return nil, gitops.Errorf(gitops.Rejected, "the deployment in %s was deleted", repository)
	}
	return h.made[deployment-1], nil
}

func (d *made) state() string {
	if len(d.statuses) == 0 {
		return ""
	}
	return d.statuses[len(d.statuses)-1].State
}

// shown is every Deployment with the states that it had.
func (h *hub) shown() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.made {
		line := fmt.Sprintf("%s %s %.7s %s:", d.repository, d.Environment, d.Revision, d.Payload.Tag)
		for _, s := range d.statuses {
			line += " " + s.State
		}
		all = append(all, line)
	}
	return all
}

// asked is the calls since the last call, and what was wrong with any.
func (h *hub) asked() (calls []called) {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls, h.calls = h.calls, nil
	return calls
}

// set changes the fake.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}
