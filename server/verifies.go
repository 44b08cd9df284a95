package server

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// Bounds of verifying.
const (
	verifiesAtOnce = 8 // apps, in the whole process
	verifyWithin   = 25 * time.Second
	mostReading    = 10 // Applications of one app
	mostPods       = 3  // whose images are looked up on their nodes
)

// verifier asks four places about an app, with what is configured when it is asked. Safe for
// concurrent use.
type verifier struct {
	server *Server
	turns  chan struct{} // has an element for each app that is asked about
}

func newVerifier(s *Server) *verifier {
	return &verifier{server: s, turns: make(chan struct{}, verifiesAtOnce)}
}

// Verify implements [api.Config].Verify: what cannot be asked is in the report. Errors are those
// of the store, NotFound for an app that is not configured, and Unavailable when others are asked
// about for too long.
func (v *verifier) Verify(ctx context.Context, environment, app string) (verify.Report, error) {
	g := v.server.current()
	to, ok := g.known().Target(environment, app)
	if !ok {
		return verify.Report{}, gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q", app, environment)
	}
	ctx, cancel := context.WithTimeout(ctx, verifyWithin)
	defer cancel()
	select {
	case v.turns <- struct{}{}:
		defer func() { <-v.turns }()
	case <-ctx.Done():
		return verify.Report{}, gitops.Errorf(gitops.Unavailable, "other apps are being verified: try again later").WithCause(ctx.Err())
	}
	f := verify.Facts{App: app, Environment: environment, Image: to.Image, At: now(), By: to.Rollout.By}
	if err := v.known(ctx, &f); err != nil {
		return verify.Report{}, err
	}
	f.Branch.File = to.Files[0].Path
	f.Branch.Tag, f.Branch.Tip, f.Branch.Err = revisions{v.server.current}.tip(ctx, gitops.Update{Environment: environment, App: app})
	if f.Branch.Tag == "" {
		f.Images.Why = "the tag on the branch is not known"
		return verify.Compare(f), nil
	}
	v.images(ctx, g, to, &f) // first: its digest is what pods are held to
	if f.By == config.ByArgoCD {
		v.applications(ctx, g, to, &f)
	}
	return verify.Compare(f), nil
}

// known is what the store has of the app: what was written last, what was reported of it, and
// what is still to be written.
func (v *verifier) known(ctx context.Context, f *verify.Facts) error {
	head, err := v.server.store.Head(ctx, f.Environment, f.App)
	if err != nil {
		return err
	}
	f.Branch.Written = head.WrittenTag
	if f.By == config.ByReports && head.WrittenID != "" {
		u, err := v.server.store.Update(ctx, head.WrittenID)
		if err != nil && gitops.CodeOf(err) != gitops.NotFound { // it may be pruned
			return err
		}
		if err == nil && u.Rollout != nil && u.Rollout.By != "" {
			f.Reported = &verify.Reported{Tag: u.Tag, Rollout: *u.Rollout}
		}
	}
	for _, state := range []gitops.State{gitops.Pending, gitops.Proposed} {
		open, _, err := v.server.store.Updates(ctx, queue.UpdateFilter{Environment: f.Environment, App: f.App, State: state}, queue.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(open) > 0 && (f.Branch.Open == nil || open[0].Sequence > f.Branch.Open.Sequence) {
			f.Branch.Open = &open[0]
		}
	}
	return nil
}

// images asks the registry about the tag, as for an update that is about to fail: thoroughly.
func (v *verifier) images(ctx context.Context, g *generation, to *catalog.Target, f *verify.Facts) {
	rules, inspected := g.images[f.Environment]
	switch {
	case !inspected:
		f.Images.Why = "images are not inspected in " + f.Environment + " (environments." + f.Environment + ".image)"
		return
	case to.Image == "":
		f.Images.Why = "the app has no repository (apps." + f.App + ".repository)"
		return
	}
	u := gitops.Update{App: f.App, Environment: f.Environment, Repository: to.Image, Tag: f.Branch.Tag}
	question := rules.Ask(u)
	question.Thorough = true
	f.Images.Rules = rules
	if f.Images.Answer, f.Images.Err = g.registries.client.Look(ctx, question); f.Images.Err != nil {
		return
	}
	f.Images.Seen, f.Images.Err = v.server.store.SeenImages(ctx, to.Image, []string{f.Branch.Tag})
}

// applications asks Argo CD about the Applications that read the app's file.
func (v *verifier) applications(ctx context.Context, g *generation, to *catalog.Target, f *verify.Facts) {
	settings := g.repositories[to.Manifests].settings
	file := rollout.Manifest{Repository: settings.URL, Branch: settings.Branch, File: to.Files[0].Path}
	found := findReading(ctx, g.argoCDs.askable(), file, to.Deployed)
	f.Near, f.Err = found.near, found.err
	f.Applications = make([]verify.Application, min(len(found.all), mostReading))
	var each sync.WaitGroup
	for i := range f.Applications {
		each.Go(func() {
			a := reading{readingApp: found.all[i], file: file, facts: f, contains: revisions{v.server.current}.Containment}
			f.Applications[i] = a.look(ctx)
		})
	}
	each.Wait()
}
