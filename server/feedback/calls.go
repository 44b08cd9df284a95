package feedback

import (
	"context"

	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// github is who tells an entry's source.
func (l *leader) github(t telling) GitHub { return l.GitHub(t.source.Manifests) }

// list asks which Deployments a repository has.
func (l *leader) list(t telling) *call {
	return &call{make: func(ctx context.Context) error {
		newest, all, err := l.github(t).Deployments(ctx, t.source.Repository)
		if err == nil {
			t.list(newest, all)
		}
		return err
	}}
}

// search asks which Deployments the update's commit has.
func (l *leader) search(t telling) *call {
	return &call{make: func(ctx context.Context) error {
		newest, err := l.github(t).DeploymentsOf(ctx, t.source.Repository, t.revision)
		if err == nil {
			t.found(newest)
			t.searched = true
		}
		return err
	}}
}

// findCommit asks for the next commit that may be the update's.
func (l *leader) findCommit(t telling) *call {
	next := t.candidates[0]
	return &call{make: func(ctx context.Context) error {
		revision, err := l.github(t).Commit(ctx, t.source.Repository, next.ref)
		if err != nil {
			return err
		}
		t.candidates = t.candidates[1:]
		if next.takes(revision) {
			t.revision = revision
		}
		return nil
	}}
}

// deploy makes the update's Deployment.
func (l *leader) deploy(t telling) *call {
	return &call{
		write: true,
		make: func(ctx context.Context) error {
			id, err := l.github(t).Deploy(ctx, t.source.Repository, newDeployment(t.u, t.revision, t.shared))
			if err == nil {
				t.made[t.update] = &deployment{id: id, known: true}
			}
			return err
		},
		lost: t.forget,
	}
}

// askStatus asks for the last status of a Deployment.
func (l *leader) askStatus(t telling, d *deployment) *call {
	return &call{make: func(ctx context.Context) error {
		last, err := l.github(t).LastStatus(ctx, t.source.Repository, d.id)
		if err == nil {
			d.last, d.known = last, true
		}
		return err
	}}
}

// setStatus sets a Deployment's status.
func (l *leader) setStatus(t telling, d *deployment, want githubapp.DeploymentStatus) *call {
	return &call{
		write: true,
		make: func(ctx context.Context) error {
			err := l.github(t).SetStatus(ctx, t.source.Repository, d.id, want)
			if err == nil {
				d.last = want
			}
			return err
		},
		lost: func() { d.known = false },
	}
}
