package argocd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// When an instance is listed again.
const (
	listEvery = 5 * time.Minute
	missAfter = 10 * time.Second // on a miss, at the earliest
)

// Index finds the Applications of an instance that read a manifest. It lists them when they
// are first looked for, when it is asked and the list is 5 minutes old, and on a miss when it
// is 10 seconds old; whoever asks meanwhile waits for the same list. Of each Application it
// keeps where it is and its sources: some hundred bytes. Safe for concurrent use.
type Index struct {
	client *Client
	turn   chan struct{} // has an element while somebody lists

	mu       sync.Mutex
	projects map[string]*listing
}

// listing is what was listed of a project. It is replaced, never changed.
type listing struct {
	entries []indexed
	at      time.Time
}

// indexed is one Application, with as much as a match needs.
type indexed struct {
	ref  Ref
	spec rollout.Spec
}

// Match is an Application that reads a manifest, as far as a list tells: whoever follows it
// holds what Argo CD says of it to [rollout.Match] again, which then knows more.
type Match struct {
	Ref     Ref
	Sources []int // positions among the Application's sources
}

// NewIndex makes an index of the client's projects. It lists nothing yet.
func NewIndex(c *Client) *Index {
	return &Index{client: c, turn: make(chan struct{}, 1), projects: make(map[string]*listing)}
}

// Find returns the Applications that read a manifest, and where there are none what comes
// close to that, in words. An error says that it cannot be told, as of
// [Client.Applications]: what was listed before is used while Argo CD cannot be asked, but a
// miss counts only when it is of a new list.
func (x *Index) Find(ctx context.Context, m rollout.Manifest) (matches []Match, near []string, err error) {
	err = x.list(ctx, listEvery)
	if err != nil && !x.complete() {
		return nil, nil, err
	}
	if matches, _ = x.match(m); len(matches) > 0 {
		return matches, nil, nil
	}
	if err := x.list(ctx, missAfter); err != nil {
		return nil, nil, err
	}
	matches, near = x.match(m)
	return matches, near, nil
}

// Len is how many Applications are known.
func (x *Index) Len() (n int) {
	for _, l := range x.listings() {
		n += len(l.entries)
	}
	return n
}

// complete reports whether each project was listed once.
func (x *Index) complete() bool { return len(x.listings()) == len(x.client.config.Projects) }

// listings are those that there are, in the order of the projects.
func (x *Index) listings() (all []*listing) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, project := range x.client.config.Projects {
		if l := x.projects[project]; l != nil {
			all = append(all, l)
		}
	}
	return all
}

// list lists each project whose list is as old as that. A project that cannot be listed, as
// for want of a right, keeps no other from being listed.
func (x *Index) list(ctx context.Context, age time.Duration) error {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return x.client.stopped(request{what: "list of Applications"}, ctx.Err())
	}
	defer func() { <-x.turn }()
	var failed error // the first
	for _, project := range x.client.config.Projects {
		x.mu.Lock()
		known := x.projects[project]
		x.mu.Unlock()
		if known != nil && time.Since(known.at) < age {
			continue
		}
		fresh, words := &listing{}, make(map[string]string)
		err := x.client.list(ctx, project, func(a *rollout.Application) { fresh.entries = append(fresh.entries, compact(a, words)) })
		var fault *gitops.Error
		switch {
		case err == nil:
		case ctx.Err() != nil || !errors.As(err, &fault) || fault.RetryAfter > 0: // another would fare no better
			return err
		default:
			failed = cmp.Or(failed, err)
			continue
		}
		fresh.entries, fresh.at = slices.Clip(fresh.entries), time.Now()
		x.mu.Lock()
		x.projects[project] = fresh
		x.mu.Unlock()
	}
	return failed
}

// compact keeps of an Application what a match needs. Words are the texts that many share.
func compact(a *rollout.Application, words map[string]string) indexed {
	shared := func(text *string) {
		if known, ok := words[*text]; ok {
			*text = known
			return
		}
		words[*text] = *text
	}
	kept := indexed{Ref{a.Spec.Project, a.Metadata.Namespace, a.Metadata.Name}, rollout.Spec{Source: a.Spec.Source, Sources: a.Spec.Sources, SourceHydrator: a.Spec.SourceHydrator}}
	shared(&kept.ref.Project)
	shared(&kept.ref.Namespace)
	sources := kept.spec.Sources
	for i := range sources {
		shared(&sources[i].RepoURL)
		shared(&sources[i].TargetRevision)
	}
	if s := kept.spec.Source; s != nil {
		shared(&s.RepoURL)
		shared(&s.TargetRevision)
	}
	return kept
}

// maxNear is how many that come close are told.
const maxNear = 5

// match looks through what is known. Reading a repository's URL takes most of a match, and a
// few URLs are those of thousands of Applications: each is read once.
func (x *Index) match(m rollout.Manifest) (matches []Match, near []string) {
	same := make(map[string]bool)
	for _, l := range x.listings() {
		for _, e := range l.entries {
			spec, ok := e.inRepository(m, same)
			if !ok {
				continue
			}
			sources, almost := rollout.Match(rollout.Application{Spec: spec}, m)
			switch {
			case len(sources) > 0:
				matches = append(matches, Match{e.ref, sources})
			case almost != "" && len(near) < maxNear:
				near = append(near, gitops.Clip(e.ref.String()+": "+almost, maxQuoted))
			}
		}
	}
	return matches, near
}

// inRepository is the spec with the manifest's own URL for sources that are of its repository,
// and none for the others; ok is false where there are only others. It notes in same which
// URLs are of the repository.
func (e *indexed) inRepository(m rollout.Manifest, same map[string]bool) (spec rollout.Spec, ok bool) {
	spec = e.spec
	if spec.SourceHydrator != nil {
		return spec, true
	}
	rewritten := func(s rollout.Source) rollout.Source {
		known, asked := same[s.RepoURL]
		if !asked {
			known = isRepository(s.RepoURL, m)
			same[s.RepoURL] = known
		}
		if s.RepoURL = ""; known {
			s.RepoURL, ok = m.Repository, true
		}
		return s
	}
	if s := spec.Source; s != nil {
		one := rewritten(*s)
		spec.Source = &one
	}
	if len(spec.Sources) > 0 {
		spec.Sources = slices.Clone(spec.Sources)
	}
	for i, s := range spec.Sources {
		spec.Sources[i] = rewritten(s)
	}
	return spec, ok
}

// isRepository reports whether a URL is of the manifest's repository: whether a source of all
// of it, on the manifest's branch, would read the manifest.
func isRepository(url string, m rollout.Manifest) bool {
	all := rollout.Source{RepoURL: url, TargetRevision: m.Branch}
	sources, _ := rollout.Match(rollout.Application{Spec: rollout.Spec{Source: &all}}, m)
	return len(sources) > 0
}
