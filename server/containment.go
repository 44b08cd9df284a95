package server

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/contain"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/config"
)

// newContain makes what tells what a revision has of an update.
func (m *manifestMaker) newContain(r *repository, c config.Config, at git.Config, breaker *git.Breaker) error {
	remote, err := git.NewRemote(at)
	if err != nil {
		return err
	}
	r.revision = contain.New(contain.Config{
		Remote: breaker.Guard(remote), Branch: r.settings.Branch, View: r.writer.View, Guard: m.files, Now: now,
		Limits: contain.Limits{FileBytes: int(c.Limits.File.Bytes), Memory: m.searchMemory},
	})
	return nil
}

// containWithin is how long a question about a revision may take, with its wait for others'.
const containWithin = 20 * time.Second

// revisions tells what revisions of the manifest repositories have of updates, by what is
// configured when it is asked. Safe for concurrent use.
type revisions struct{ current func() *generation }

// Containment is what a revision has of an update. An error means that it is not known now; its
// code is NotFound for an app that is not configured any more.
func (r revisions) Containment(ctx context.Context, u gitops.Update, revision string) (found rollout.Containment, err error) {
	err = r.ask(ctx, u, revision, func(ctx context.Context, of *contain.Reader, q contain.Question) (err error) {
		found, err = of.Containment(ctx, q)
		return err
	})
	return found, err
}

// TagBefore is the tag that the update's file had before its commit; "" where it had none.
// Errors are as of Containment.
func (r revisions) TagBefore(ctx context.Context, u gitops.Update) (tag string, err error) {
	err = r.ask(ctx, u, "", func(ctx context.Context, of *contain.Reader, q contain.Question) (err error) {
		tag, err = of.TagBefore(ctx, q)
		return err
	})
	return tag, err
}

// TagNow is the tag that the update's file has at the branch's tip, as it is now; "" where it
// has none. Errors are as of Containment.
func (r revisions) TagNow(ctx context.Context, u gitops.Update) (tag string, err error) {
	tag, _, err = r.tip(ctx, u)
	return tag, err
}

// tip is as TagNow, and names the tip, too.
func (r revisions) tip(ctx context.Context, u gitops.Update) (tag, tip string, err error) {
	err = r.ask(ctx, u, "", func(ctx context.Context, of *contain.Reader, q contain.Question) (err error) {
		tag, tip, err = of.TagNow(ctx, q.Path, q.Reader)
		return err
	})
	return tag, tip, err
}

// ask finds the update's manifest repository and file.
func (r revisions) ask(ctx context.Context, u gitops.Update, revision string, question func(context.Context, *contain.Reader, contain.Question) error) error {
	g := r.current()
	to, ok := g.known().Target(u.Environment, u.App)
	if !ok {
		return gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q any more", u.App, u.Environment)
	}
	ctx, cancel := context.WithTimeout(ctx, containWithin)
	defer cancel()
	return question(ctx, g.repositories[to.Manifests].revision, contain.QuestionOf(u, revision, to.Files[0].Path, to.Files[0].Edit))
}
