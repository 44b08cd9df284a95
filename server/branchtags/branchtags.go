// Package branchtags knows the tag of every app on the branch of the manifest
// repository.
//
// Whoever asks waits for no push: the tags are read from an immutable view of the
// branch, beside the writer. The git server is asked as rarely as the age of an
// answer allows, however many ask here, and of a branch that moved only the files
// that changed are read again.
package branchtags

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

// viewWithin is how long the git server may take.
const viewWithin = 5 * time.Second

// View is the branch at one commit. It is immutable and safe for concurrent use.
type View[V any] interface {
	// Commit is the commit's name.
	Commit() string
	// AsOf is when the git server was asked where the branch is: what came later may
	// not be in the view.
	AsOf() time.Time
	// Changed returns the paths of the files that are not in both views with the
	// same content, in any order. It costs as much as the directories that changed.
	// When those are too many it returns false, and any file may have changed.
	Changed(since V) (paths []string, ok bool)
	// ReadFile returns a file's content, which the caller must not change. The error
	// is a [*gitops.Error] about the path.
	ReadFile(path string) ([]byte, error)
	// Object is git's name of the content.
	Object(path string) string
}

// Guard stands before what is parsed; see guard.Guard.
type Guard interface {
	Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error)
}

// Target is where the tag of one app in one environment stands.
type Target struct {
	Environment, App string
	Manifests        string // the name of the repository, where there are several
	Files            []File // at least one; the first has the app's tag
}

// File is one file of a target.
type File struct {
	Path string // in the repository
	Edit *values.Edit
}

// Cache keeps the tags of one view and brings them up to date when somebody asks.
// Safe for concurrent use.
type Cache[V View[V]] struct {
	view         func(ctx context.Context, maxAge time.Duration) (V, error)
	guard        Guard
	maxAge       time.Duration
	environments []string               // of the apps
	places       []place                // of tags, by path
	others       map[int][]*api.AppFile // tags of the apps' other files, by index of the app
	last         atomic.Pointer[api.BranchTags]

	turn chan struct{} // holds one while no caller brings the tags up to date
	// Of the caller that took it out:
	askAt   time.Time // when the tags are too old, or the git server may be asked again
	written time.Time // what was on the branch by then is in the tags
	failed  bool      // the git server did not answer the last time
	apps    []api.App // by environment and app, with their tags once one was read; copied to be changed
	read    bool      // something was read
	seen    V         // what was read last
	aside   []int     // indexes of places in files that the guard did not let through, or that were not read yet: they are looked at again each time
}

// New makes a cache that has read nothing yet. The function returns the branch as it
// was no longer than maxAge ago; its errors are [*gitops.Error]. It is not called again
// before what it returned is that old, unless something was written since, nor before
// the time that its last error named.
func New[V View[V]](targets []Target, view func(ctx context.Context, maxAge time.Duration) (V, error), maxAge time.Duration, guard Guard) *Cache[V] {
	targets = slices.SortedFunc(slices.Values(targets), func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.App, b.App))
	})
	c := &Cache[V]{view: view, guard: guard, maxAge: maxAge, others: make(map[int][]*api.AppFile), turn: make(chan struct{}, 1)}
	for i, t := range targets {
		c.environments = append(c.environments, t.Environment)
		c.apps = append(c.apps, api.App{App: t.App, Manifests: t.Manifests, File: t.Files[0].Path})
		c.places = append(c.places, place{File: t.Files[0], app: i})
		for _, f := range t.Files[1:] {
			if f.Edit.HasTag() {
				other := &api.AppFile{File: f.Path}
				c.places = append(c.places, place{f, i, other})
				c.others[i] = append(c.others[i], other)
			}
		}
	}
	slices.SortStableFunc(c.places, func(a, b place) int { return cmp.Compare(a.Path, b.Path) })
	c.last.Store(&api.BranchTags{})
	c.turn <- struct{}{}
	return c
}

// BranchTags implements api.ManifestReader. Whoever asks while the tags are brought up
// to date gets the same answer, or that of before when ctx ends first.
func (c *Cache[V]) BranchTags(ctx context.Context, written time.Time) api.BranchTags {
	select {
	case <-c.turn:
		c.refresh(ctx, written)
	case <-ctx.Done():
	}
	return *c.last.Load()
}

// refresh brings tags that are too old up to date, if the git server may be asked, and
// gives the turn back.
func (c *Cache[V]) refresh(ctx context.Context, written time.Time) {
	defer func() { c.turn <- struct{}{} }()
	began, maxAge := time.Now(), c.maxAge
	switch {
	case !c.failed && written.After(c.written):
		maxAge = 0
	case began.Before(c.askAt):
		return
	}
	now := *c.last.Load()
	err := c.look(context.WithoutCancel(ctx), maxAge) // others wait for it, too
	if c.failed = err != nil; c.failed {
		now.Problem = problemOf(err)
		c.askAt = time.Now().Add(max(c.maxAge, now.Problem.RetryAfter))
	} else {
		asOf := c.seen.AsOf()
		now = api.BranchTags{AsOf: asOf.UTC(), Apps: c.byEnvironment()}
		if !asOf.Before(began) {
			asOf = time.Now() // it was asked just now: not again at once, however long it took
		}
		c.askAt = asOf.Add(c.maxAge)
		if maxAge == 0 {
			c.written = written
		}
	}
	c.last.Store(&now)
}

func problemOf(err error) *gitops.Error {
	var e *gitops.Error
	if errors.As(err, &e) {
		return e
	}
	return gitops.Errorf(gitops.CodeOf(err), "%s", gitops.PublicOf(err)).WithCause(err)
}

// look brings the apps' tags to what the branch has now.
func (c *Cache[V]) look(ctx context.Context, maxAge time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, viewWithin)
	defer cancel()
	view, err := c.view(ctx, maxAge)
	if err != nil {
		return err
	}
	changed, all := c.changed(view)
	if len(changed) > 0 {
		c.apps = slices.Clone(c.apps)
	}
	c.aside = nil
	for i := 0; i < len(changed); i++ {
		next, err := c.readFile(ctx, changed[i], view)
		if err != nil {
			c.aside = append(c.aside, changed[i:]...)
			return err // what was read stays, and is read again
		}
		if all && next < len(c.places) {
			changed = append(changed, next)
		}
	}
	c.seen, c.read = view, true
	return nil
}

// changed are the indexes of the places in the files to read: one of each. With all, each
// file is to be read, and the first is given.
func (c *Cache[V]) changed(view V) (places []int, all bool) {
	if !c.read {
		return c.everything()
	}
	places = c.aside
	if view.Commit() == c.seen.Commit() {
		return places, false
	}
	paths, known := view.Changed(c.seen)
	if !known {
		return c.everything()
	}
	for _, path := range paths {
		if at, ok := slices.BinarySearchFunc(c.places, path, func(p place, path string) int { return cmp.Compare(p.Path, path) }); ok {
			places = append(places, at)
		}
	}
	slices.Sort(places)
	return slices.Compact(places), false
}

func (c *Cache[V]) everything() (places []int, all bool) {
	if len(c.places) == 0 {
		return nil, false
	}
	return []int{0}, true
}

// readFile reads all tags in the file of the place with this index. The file is read and
// parsed once. It returns the index of the first place in the next file. An error is no
// file's.
func (c *Cache[V]) readFile(ctx context.Context, at int, view V) (next int, err error) {
	path := c.places[at].Path
	file, leave, err := c.open(ctx, view, path, c.places[at].Edit.Limits())
	defer leave()
	switch gitops.CodeOf(err) {
	case gitops.Unavailable:
		return at, err
	case gitops.Rejected:
		c.aside = append(c.aside, at)
	}
	for next = at; next < len(c.places) && c.places[next].Path == path; next++ {
		p := c.places[next]
		tag, problem, err := "", "", err
		if err == nil {
			tag, err = file.Tag(p.Edit)
		}
		if err != nil {
			problem = gitops.PublicOf(err)
		}
		c.find(p, tag, problem)
	}
	return next, nil
}

// byEnvironment is the apps as they are now, each environment's a part of the same
// slice.
func (c *Cache[V]) byEnvironment() map[string][]api.App {
	apps := make(map[string][]api.App)
	for begin := 0; begin < len(c.apps); {
		environment := c.environments[begin]
		n, _ := slices.BinarySearch(c.environments[begin:], environment+"\x00") // the first that is after it
		apps[environment] = c.apps[begin : begin+n : begin+n]
		begin += n
	}
	return apps
}

// open parses a file. leave is to be called when it is not needed any more.
func (c *Cache[V]) open(ctx context.Context, view V, path string, l values.Limits) (file *values.Document, leave func(), err error) {
	text, err := view.ReadFile(path)
	if err != nil {
		return nil, func() {}, err
	}
	o := gitops.ParsedObject{Object: view.Object(path), Kind: gitops.ParsedFile, Path: path}
	if leave, err = c.guard.Enter(ctx, o, values.Measure(text).Cost(), true); err != nil {
		return nil, func() {}, err
	}
	file, err = values.Read(text, l)
	return file, leave, err
}
