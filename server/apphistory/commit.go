package apphistory

import (
	"context"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

// maxDiffed is the largest file that is compared with the one before it, in bytes: both
// and the older one's tree are in memory then.
const maxDiffed = 1 << 20

// Commit implements api.ManifestReader. It reads the files as they were at the commit and
// before it, one after the other, for one caller at a time.
func (r *Reader) Commit(ctx context.Context, u gitops.Update) (api.Commit, error) {
	files := r.Target(u.Environment, u.App)
	if len(files) == 0 {
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
	c := api.Commit{Update: u.ID, Commit: u.Commit}
	paths := make([]string, 0, len(files))
	for _, f := range files {
		if err := r.addFile(ctx, &c, u, name, f); err != nil {
			return api.Commit{}, err
		}
		paths = append(paths, f.Path)
	}
	if len(c.Files) == 0 {
		return api.Commit{}, gitops.Errorf(gitops.NotFound, "commit %s does not change %s, where the configuration has %s in %s now",
			u.Commit, strings.Join(paths, " or "), u.App, u.Environment)
	}
	return c, nil
}

// addFile adds to what is said of a commit what the update changed in a file, unless the
// commit does not change it.
func (r *Reader) addFile(ctx context.Context, c *api.Commit, u gitops.Update, name git.Hash, f File) error {
	objects := make(map[string]string) // by content
	whole := func(_ context.Context, object string, content []byte) (string, error) {
		text := string(content)
		objects[text] = object
		return text, nil
	}
	past, err := r.File(ctx, u.Environment, u.App, history.Query{Path: f.Path, Tip: name, Read: whole, Limit: 2, Commits: 2})
	if err != nil || len(past.Versions) == 0 || past.Versions[0].Commit != u.Commit {
		return err
	}
	v := past.Versions[0]
	c.At, c.Author, c.Proof = v.At, v.Author.Name+" <"+v.Author.Email+">", v.Proof
	file := api.CommitFile{File: f.Path}
	switch {
	case len(past.Versions) < 2 || v.Missing:
		file.Problem = "the commit made or removed the whole file"
	case v.Err != nil || past.Versions[1].Err != nil || max(len(v.Value), len(past.Versions[1].Value)) > maxDiffed:
		file.Problem = "the file is too large to be compared"
	default:
		before := past.Versions[1].Value
		o := gitops.ParsedObject{Object: objects[before], Kind: gitops.ParsedPast, Path: f.Path}
		leave, err := r.Guard.Enter(ctx, o, values.Measure([]byte(before)).Cost(), true)
		if err != nil {
			return err
		}
		defer leave()
		file.Diff, file.Problem = ownChanges(f.Edit, u, before, v.Value)
	}
	c.Files = append(c.Files, file)
	return nil
}

// ownChanges are the lines that an update changed in a file. Other updates may be in the
// commit, and a person's commit may have more: so the update's edit is made again, and
// counts where the commit has its lines.
func ownChanges(edit *values.Edit, u gitops.Update, before, after string) (diff []string, problem string) {
	const differs = "the commit does not have what the configuration would write now"
	own, changed, err := edit.Apply([]byte(before), values.Vars{Tag: u.Tag, Digest: u.ImageDigest(), Repository: u.Repository})
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
