// Package discovery looks at branches of manifest repositories, again and again, for the
// apps that they name.
package discovery

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Guard stands before what is parsed; see guard.Guard.
type Guard interface {
	Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error)
}

// Branch is the branch of a manifest repository.
type Branch struct {
	// View returns the branch as it was no longer than maxAge ago, with the contents of the
	// files at the paths; see manifest.Writer.View.
	View  func(ctx context.Context, maxAge time.Duration, paths ...string) (*manifest.View, error)
	Guard Guard
}

// Sight is what a look saw.
type Sight struct {
	Commit string // that the branch was at
	Result *discover.Result
	Read   []string // the files whose contents were fetched for it

	view *manifest.View
}

// Files are those of the files that were read before and now that are still there: names
// come and go, and what is gone needs no memory.
func (s Sight) Files(before []string) (files []string) {
	met := make(map[string]bool, len(before)+len(s.Read))
	for _, path := range slices.Concat(before, s.Read) {
		if !met[path] && s.view.Object(path) != "" {
			met[path] = true
			files = append(files, path)
		}
	}
	return files
}

// lookWithin is how long a look may take, and mostFetches how often it may fetch files. A
// file may name the next one that is needed: an app's own file does.
const (
	lookWithin  = time.Minute
	mostFetches = 5
)

// Look finds what the branch names now. Files are parsed behind the guard: one that is set
// aside is a problem of its app, and one that the guard cannot let in now is looked at
// again. The error is the git server's or the store's, a [*gitops.Error].
func (b Branch) Look(ctx context.Context, rules *discover.Rules) (s Sight, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	began := time.Now()
	view, err := b.View(ctx, 0)
	for fetches := 0; err == nil; fetches++ {
		r := reader{ctx: ctx, view: view, guard: b.Guard}
		s.view, s.Commit, s.Result = view, view.Commit(), rules.Look(view.Root(), r.read)
		switch {
		case r.later != nil:
			return s, r.later
		case len(s.Result.Needs) == 0:
			return s, nil
		case fetches == mostFetches:
			return s, gitops.Errorf(gitops.Unavailable, "the branch moves faster than its files can be read: trying again")
		}
		s.Read = append(s.Read, s.Result.Needs...)
		view, err = b.View(ctx, time.Since(began), s.Result.Needs...)
	}
	return s, err
}

// reader reads the files of one view.
type reader struct {
	ctx   context.Context
	view  *manifest.View
	guard Guard
	later error // why the guard let nobody in, which is not a file's fault
}

// read implements [discover.Read].
func (r *reader) read(path string, file *git.File, parse func(text []byte) error) error {
	text, err := r.view.ReadFile(path)
	if err != nil {
		return err
	}
	o := gitops.ParsedObject{Object: file.Name.String(), Kind: gitops.ParsedFile, Path: path}
	leave, err := r.guard.Enter(r.ctx, o, values.Measure(text).Cost(), true)
	if err != nil {
		if gitops.CodeOf(err) != gitops.Rejected {
			r.later = err
			return gitops.Errorf(gitops.Unavailable, "%s cannot be read now", path).WithCause(err)
		}
		return err
	}
	defer leave()
	return parse(text)
}
