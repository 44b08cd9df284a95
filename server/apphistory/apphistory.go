// Package apphistory tells which tags an app had in an environment, by the commits
// of the manifest repository.
package apphistory

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Reader reads histories. Safe for concurrent use if its fields are.
type Reader struct {
	// Target returns the file in which an app's tag in an environment stands, and how
	// to read and to set it; false for what is not configured.
	Target func(environment, app string) (file string, edit *values.Edit, ok bool)
	// File reads the past of the file of an app in an environment, which is configured:
	// that of [history.Reader].
	File func(ctx context.Context, environment, app string, q history.Query) (history.History, error)
	// Guard stands before what is parsed; see guard.Guard.
	Guard Guard

	diffing chan struct{} // has a token while a commit's files are in memory
}

// Guard stands before what is parsed; see guard.Guard.
type Guard interface {
	Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error)
}

// New makes a reader.
func New(target func(environment, app string) (file string, edit *values.Edit, ok bool), file func(ctx context.Context, environment, app string, q history.Query) (history.History, error), guard Guard) *Reader {
	return &Reader{Target: target, File: file, Guard: guard, diffing: make(chan struct{}, 1)}
}

// History implements api.ManifestReader.
func (r *Reader) History(ctx context.Context, q api.HistoryQuery) (api.History, error) {
	file, edit, ok := r.Target(q.Environment, q.App)
	if !ok {
		return api.History{}, gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q", q.App, q.Environment)
	}
	ctx, cancel := context.WithTimeout(ctx, api.HistoryWithin)
	defer cancel()
	found, err := r.File(ctx, q.Environment, q.App, history.Query{Path: file, Read: r.reader(file, edit), Limit: q.Limit, Commits: q.Commits})
	if err != nil {
		return api.History{}, err
	}
	h := api.History{
		Environment: q.Environment, App: q.App, File: file, Tip: found.Tip, Versions: make([]api.Version, len(found.Versions)),
		Commits: found.Commits, Since: found.Until, Complete: found.Complete,
	}
	for i, v := range found.Versions {
		h.Versions[i] = versionOf(v)
	}
	return h, nil
}

// reader reads the tag out of a file as it was once.
func (r Reader) reader(path string, edit *values.Edit) func(context.Context, string, []byte) (string, error) {
	return func(ctx context.Context, object string, file []byte) (string, error) {
		leave, err := r.Guard.Enter(ctx, gitops.ParsedObject{Object: object, Kind: gitops.ParsedPast, Path: path}, values.Measure(file).Cost(), true)
		if err != nil {
			return "", err
		}
		defer leave()
		return edit.ReadTag(file)
	}
}

func versionOf(v history.Version) api.Version {
	version := api.Version{Tag: v.Value, Missing: v.Missing, Commit: v.Commit, At: v.At, Subject: v.Subject}
	if v.Err != nil {
		version.Problem = gitops.PublicOf(v.Err)
	}
	if v.Commit != "" {
		version.Author = v.Author.Name + " <" + v.Author.Email + ">"
	}
	version.Proof = v.Proof
	said := &version.Claims
	if v.Proof != "" {
		said = &version.Updates
	}
	for _, u := range v.Updates {
		*said = append(*said, api.UpdateTrailer{Update: u.Update, Delivery: u.Delivery, Actor: u.Actor})
	}
	return version
}
