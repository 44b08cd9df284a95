package server

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// askable is an Argo CD as verifying asks it: [argocd.Client] with its [argocd.Index]. Safe for
// concurrent use.
type askable interface {
	Projects() []string
	Find(ctx context.Context, m rollout.Manifest) (matches []argocd.Match, near []string, err error)
	Application(ctx context.Context, ref argocd.Ref, refresh bool) (rollout.Application, error)
	Tree(ctx context.Context, ref argocd.Ref) (rollout.Tree, error)
	ManagedResources(ctx context.Context, ref argocd.Ref, group, kind string) ([]rollout.Managed, error)
	SyncWindows(ctx context.Context, ref argocd.Ref) (rollout.Windows, error)
	Live(ctx context.Context, ref argocd.Ref, node rollout.Node) (json.RawMessage, error)
	Page(ref argocd.Ref) string
}

// withIndex is an instance with its index.
type withIndex struct {
	*argocd.Client
	*argocd.Index
}

// askable are those of a configuration.
func (all argoCDs) askable() (asks []askable) {
	for _, a := range all {
		asks = append(asks, withIndex{a.client, a.index})
	}
	return asks
}

// readingApp is an Application that reads an app's file.
type readingApp struct {
	argocd.Ref
	in    askable
	named bool // by the configuration
}

// findings are the Applications that read a file.
type findings struct {
	all  []readingApp
	near []string
	err  error // of an instance that could not be asked, where no other has any
}

// findReading finds the Applications that read a file: the one that the configuration names, or
// else by what they read. The instances are asked at once.
func findReading(ctx context.Context, instances []askable, file rollout.Manifest, named config.Application) (all findings) {
	if named != (config.Application{}) {
		for _, in := range instances {
			if slices.Contains(in.Projects(), named.Project) {
				all.all = append(all.all, readingApp{argocd.Ref{Project: named.Project, Namespace: named.Namespace, Name: named.Name}, in, true})
				return all
			}
		}
		all.near = []string{named.String() + " is in none of the projects of argocd"}
		return all
	}
	found := make([]findings, len(instances))
	var each sync.WaitGroup
	for i, in := range instances {
		each.Go(func() {
			matches, near, err := in.Find(ctx, file)
			found[i].near, found[i].err = near, err
			for _, m := range matches {
				found[i].all = append(found[i].all, readingApp{m.Ref, in, false})
			}
		})
	}
	each.Wait()
	for _, f := range found {
		all.all, all.near = append(all.all, f.all...), append(all.near, f.near...)
		if all.err == nil {
			all.err = f.err
		}
	}
	if len(all.all) > 0 {
		all.err = nil
	}
	return all
}

// reading asks about one Application.
type reading struct {
	readingApp
	file     rollout.Manifest
	facts    *verify.Facts // read, and not changed meanwhile but for its Applications
	contains func(ctx context.Context, u gitops.Update, revision string) (rollout.Containment, error)
}

// mostLooks is how often what a verdict lacked is asked for.
const mostLooks = 4

// look reads the Application, with a refresh, and then what the verdict on it lacks.
func (r reading) look(ctx context.Context) verify.Application {
	found := verify.Application{Name: r.String(), URL: r.in.Page(r.Ref)}
	if found.Err = r.read(ctx, &found); found.Err != nil || found.Look.Application == nil {
		return found
	}
	var tree rollout.Tree
	if tree, found.TreeErr = r.in.Tree(ctx, r.Ref); found.TreeErr == nil {
		found.Look.Tree = &tree
	}
	refreshed := 1
	for range mostLooks {
		wants := r.facts.Judge(found).Wants
		lacks, err := r.meet(ctx, wants, &found.Look)
		if err == nil && !lacks && wants.Refresh && refreshed < 2 { // a refresh during a comparison is lost with it
			refreshed++
			lacks, err = true, r.read(ctx, &found)
		}
		if found.Err = err; err != nil || !lacks || found.Look.Application == nil {
			break
		}
	}
	if found.Err == nil && found.Look.Tree != nil && r.facts.Images.Answer.Digest != "" {
		found.Running = r.running(ctx, *found.Look.Tree)
	}
	return found
}

// read reads the Application once Argo CD has compared it with git. One that is not there is
// nil.
func (r reading) read(ctx context.Context, found *verify.Application) error {
	a, err := r.in.Application(ctx, r.Ref, true)
	switch {
	case gitops.CodeOf(err) == gitops.NotFound:
		found.Look.Application = nil
		return nil
	case err != nil:
		return err
	}
	found.Name = argocd.Ref{Project: a.Spec.Project, Namespace: a.Metadata.Namespace, Name: a.Metadata.Name}.String()
	found.Look.Application = &a
	found.Look.Sources, _ = rollout.Match(a, r.file)
	if r.named && len(found.Look.Sources) == 0 {
		found.Look.Sources = withoutCharts(a.Spec)
	}
	return nil
}

// withoutCharts are the sources of an Application that are in git.
func withoutCharts(s rollout.Spec) (sources []int) {
	if len(s.Sources) == 0 {
		return []int{0}
	}
	for i, source := range s.Sources {
		if source.Chart == "" {
			sources = append(sources, i)
		}
	}
	return sources
}

// meet asks for what a verdict lacked, and reports whether it lacked anything.
func (r reading) meet(ctx context.Context, wants rollout.Wants, look *rollout.Look) (lacked bool, err error) {
	for _, revision := range wants.Containing {
		u := gitops.Update{App: r.facts.App, Environment: r.facts.Environment, Tag: r.facts.Branch.Tag}
		has, err := r.contains(ctx, u, revision)
		if err != nil {
			return true, err
		}
		if look.Containing == nil {
			look.Containing = make(map[string]rollout.Containment)
		}
		look.Containing[revision], lacked = has, true
	}
	if wants.Managed && look.Managed == nil {
		managed, err := r.in.ManagedResources(ctx, r.Ref, "", "")
		if err != nil {
			return true, err
		}
		look.Managed, lacked = slices.Concat([]rollout.Managed{}, managed), true // not nil: it was asked for
	}
	if wants.Windows && look.Windows == nil {
		windows, err := r.in.SyncWindows(ctx, r.Ref)
		if err != nil {
			return true, err
		}
		look.Windows, lacked = &windows, true
	}
	return lacked, nil
}

// running is what the nodes say of the images of a few pods, as names with digests. What cannot
// be read is left out: the pods' tags are known.
func (r reading) running(ctx context.Context, tree rollout.Tree) (images []string) {
	pods := rollout.PodsOf(r.facts.Subject(), tree).Pods
	for _, pod := range pods[:min(len(pods), mostPods)] {
		text, err := r.in.Live(ctx, r.Ref, pod)
		if err != nil {
			continue
		}
		var live struct {
			Status struct {
				ContainerStatuses []struct {
					ImageID string `json:"imageID"`
				} `json:"containerStatuses"`
			} `json:"status"`
		}
		if json.Unmarshal(text, &live) != nil {
			continue
		}
		for _, c := range live.Status.ContainerStatuses {
			_, name, cut := strings.Cut(c.ImageID, "://") // as docker-pullable://NAME@DIGEST
			if !cut {
				name = c.ImageID
			}
			repository, _, byDigest := strings.Cut(name, "@")
			if byDigest && path.Base(repository) == path.Base(r.facts.Image) {
				images = append(images, name)
			}
		}
	}
	return images
}
