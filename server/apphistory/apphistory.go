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
	// Target returns the files that updates of an app in an environment edit, the one
	// with the tag first; none for what is not configured.
	Target func(environment, app string) []File
	// File reads the past of a file of an app in an environment, which is configured:
	// that of [history.Reader].
	File func(ctx context.Context, environment, app string, q history.Query) (history.History, error)
	// Guard stands before what is parsed; see guard.Guard.
	Guard Guard

	diffing chan struct{} // has a token while a commit's files are in memory
}

// File is a file with the edit that an update makes in it.
type File struct {
	Path string
	Edit *values.Edit
}

// Guard stands before what is parsed; see guard.Guard.
type Guard interface {
	Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error)
}

// New makes a reader.
func New(target func(environment, app string) []File, file func(ctx context.Context, environment, app string, q history.Query) (history.History, error), guard Guard) *Reader {
	return &Reader{Target: target, File: file, Guard: guard, diffing: make(chan struct{}, 1)}
}

// History implements api.ManifestReader.
func (r *Reader) History(ctx context.Context, q api.HistoryQuery) (api.History, error) {
	files := r.Target(q.Environment, q.App)
	if len(files) == 0 {
		return api.History{}, gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q", q.App, q.Environment)
	}
	ctx, cancel := context.WithTimeout(ctx, api.HistoryWithin)
	defer cancel()
	file := files[0]
	found, err := r.File(ctx, q.Environment, q.App, history.Query{Path: file.Path, Read: r.reader(file), Limit: q.Limit, Commits: q.Commits})
	if err != nil {
		return api.History{}, err
	}
	h := api.History{
		Environment: q.Environment, App: q.App, File: file.Path, Tip: found.Tip, Versions: make([]api.Version, len(found.Versions)),
		Commits: found.Commits, Since: found.Until, Complete: found.Complete,
	}
	for i, v := range found.Versions {
		h.Versions[i] = versionOf(v)
	}
	return h, nil
}

// reader reads the tag out of a file as it was once.
func (r Reader) reader(file File) func(context.Context, string, []byte) (string, error) {
	return func(ctx context.Context, object string, content []byte) (string, error) {
		leave, err := r.Guard.Enter(ctx, gitops.ParsedObject{Object: object, Kind: gitops.ParsedPast, Path: file.Path}, values.Measure(content).Cost(), true)
		if err != nil {
			return "", err
		}
		defer leave()
		return file.Edit.ReadTag(content)
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
		of := api.UpdateTrailer{Update: u.Update, Delivery: u.Delivery, Actor: u.Actor}
		if t := u.Terms; t != nil {
			of.Reason, of.Override, of.RollsBack, of.Reverts, of.PinUntil = t.Reason, t.Override, t.RollsBack, t.Reverts, t.PinUntil
		}
		*said = append(*said, of)
	}
	return version
}
