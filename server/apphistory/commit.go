package apphistory

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

// maxDiffed is the largest file that is compared with the one before it, in bytes: both
// and the older one's tree are in memory then.
const maxDiffed = 1 << 20

// Commit implements api.ManifestReader. It reads the file as it was at the commit and
// before it, for one caller at a time.
func (r *Reader) Commit(ctx context.Context, u gitops.Update) (api.Commit, error) {
	file, edit, ok := r.Target(u.Environment, u.App)
	if !ok {
		return api.Commit{}, gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q any more", u.App, u.Environment)
	}
	name, ok := git.ParseHash(u.Commit)
	if !ok {
		return api.Commit{}, gitops.Errorf(gitops.NotFound, "%.64q is not the name of a commit", u.Commit)
	}
	ctx, cancel := context.WithTimeout(ctx, api.CommitWithin)
	defer cancel()
	select {
	case r.diffing <- struct{}{}:
		defer func() { <-r.diffing }()
	case <-ctx.Done():
		return api.Commit{}, gitops.Errorf(gitops.Unavailable, "other commits are being read: try again later").WithCause(ctx.Err())
	}
	objects := make(map[string]string) // by content
	whole := func(_ context.Context, object string, content []byte) (string, error) {
		text := string(content)
		objects[text] = object
		return text, nil
	}
	past, err := r.File(ctx, u.Environment, u.App, history.Query{Path: file, Tip: name, Read: whole, Limit: 2, Commits: 2})
	if err != nil {
		return api.Commit{}, err
	}
	if len(past.Versions) == 0 || past.Versions[0].Commit != u.Commit {
		return api.Commit{}, gitops.Errorf(gitops.NotFound, "commit %s does not change %s, where the configuration has %s in %s now", u.Commit, file, u.App, u.Environment)
	}
	v := past.Versions[0]
	c := api.Commit{Update: u.ID, Commit: v.Commit, At: v.At, Author: v.Author.Name + " <" + v.Author.Email + ">", Proof: v.Proof, File: file}
	switch {
	case len(past.Versions) < 2 || v.Missing:
		c.Problem = "the commit made or removed the whole file"
	case v.Err != nil || past.Versions[1].Err != nil || max(len(v.Value), len(past.Versions[1].Value)) > maxDiffed:
		c.Problem = "the file is too large to be compared"
	default:
		before := past.Versions[1].Value
		o := gitops.ParsedObject{Object: objects[before], Kind: gitops.ParsedPast, Path: file}
		leave, err := r.Guard.Enter(ctx, o, values.Measure([]byte(before)).Cost(), true)
		if err != nil {
			return api.Commit{}, err
		}
		defer leave()
		c.Diff, c.Problem = ownChanges(edit, u, before, v.Value)
	}
	return c, nil
}

// ownChanges are the lines that an update changed in a file. Other updates may be in the
// commit, and a person's commit may have more: so the update's edit is made again, and
// counts where the commit has its lines.
func ownChanges(edit *values.Edit, u gitops.Update, before, after string) (diff []string, problem string) {
	const differs = "the commit does not have what the configuration would write now"
	own, changed, err := edit.Apply([]byte(before), values.Vars{Tag: u.Tag, Digest: u.Digest, Repository: u.Repository})
	if err != nil || !changed {
		return nil, differs
	}
	changes := changesOf(before, string(own))
	if changes == nil {
		return nil, "the change is too large to be shown"
	}
	written := make(map[string]bool)
	for _, c := range changesOf(before, after) {
		written[c.added] = true
	}
	for _, c := range changes {
		if !written[c.added] {
			return nil, differs
		}
	}
	return shown(changes), ""
}
