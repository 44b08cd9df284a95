package server

import (
	"context"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// Image is what a dry run asks about.
type Image struct {
	Tag        string
	Digest     string // empty means one of zeros where tallyman would know it: of a push, and where images are inspected
	Repository string // an image in ECR without tag: it is pushed; empty means an order
	// Apps and Environments are those that are asked about; none means all.
	Apps, Environments []string
}

// DryRun is what an image would mean: whether each app in each environment takes
// it, and what would be changed.
type DryRun struct {
	Tag        string `json:"tag"`
	Repository string `json:"repository,omitempty"` // that was pushed to; empty for an order
	Commit     string `json:"commit,omitempty"`     // of the branch that was looked at; empty for none, and where there are several manifest repositories

	Commits map[string]string `json:"commits,omitempty"` // of the branches that were looked at, by manifest repository, where there are several
	Reason  string            `json:"reason,omitempty"`  // why nothing is taken, where that is not for one app to say
	Targets []Effect          `json:"targets"`
}

// Effect is what an image would mean for one app in one environment.
type Effect struct {
	Environment string       `json:"environment"`
	App         string       `json:"app"`
	Taken       bool         `json:"taken"`
	Reason      string       `json:"reason,omitempty"`    // why it is not taken, or changes nothing
	Manifests   string       `json:"manifests,omitempty"` // the manifest repository, where there are several
	Files       []FileEffect `json:"files,omitempty"`     // that would change; those of the app where the branch was not read
}

// FileEffect is what would be changed in one file.
type FileEffect struct {
	File string   `json:"file"`
	Keys []string `json:"keys"`           // that would change
	Diff string   `json:"diff,omitempty"` // of the file on the branch, without context
}

func (e Effect) at() catalog.At { return catalog.At{Environment: e.Environment, App: e.App} }

// digest is that of the image. Every push has one: of zeros where none is named.
func (q Image) digest() string {
	if q.Digest != "" || q.Repository == "" {
		return q.Digest
	}
	return zeroDigest
}

// zeroDigest stands for one that the registry would name.
var zeroDigest = "sha256:" + strings.Repeat("0", 64)

// Taken reports whether anything would be written or is there already.
func (d DryRun) Taken() bool {
	return slices.ContainsFunc(d.Targets, func(e Effect) bool { return e.Taken })
}

// DryRun says what an image would mean. It plans as for a delivery and makes the edits
// on the files as they are on the branch; with offline it leaves the branch out.
// Nothing is changed, the store is not opened, and the server need not have been
// started. Its error is Invalid and names the field where the question is wrong.
func (s *Server) DryRun(ctx context.Context, q Image, offline bool) (DryRun, error) {
	if !offline {
		if err := s.discoverOnce(ctx, s.current()); err != nil {
			return DryRun{}, err
		}
	}
	if err := s.checkQuestion(q); err != nil {
		return DryRun{}, err
	}
	d, updates, err := s.plan(q)
	if err != nil || offline || !d.Taken() {
		return d, err
	}
	views := make(map[string]*manifest.View)
	for i, e := range d.Targets {
		if !e.Taken {
			continue
		}
		to, _ := s.current().known().Target(e.Environment, e.App)
		if views[to.Manifests] == nil {
			if views[to.Manifests], err = s.current().repositories[to.Manifests].view(ctx, 0); err != nil {
				return d, s.inRepository(to.Manifests, err)
			}
			d.looked(to.Manifests, views[to.Manifests].Commit(), len(s.current().repositories) > 1)
		}
		if d.Commits != nil {
			d.Targets[i].Manifests = to.Manifests
		}
		s.tryUpdate(&d.Targets[i], updates[e.at()], views[to.Manifests])
	}
	return d, nil
}

// looked notes which commit was looked at.
func (d *DryRun) looked(repository, commit string, several bool) {
	if !several {
		d.Commit = commit
		return
	}
	if d.Commits == nil {
		d.Commits = make(map[string]string)
	}
	d.Commits[repository] = commit
}

// checkQuestion rejects names that the configuration does not have.
func (s *Server) checkQuestion(q Image) error {
	now := s.current()
	for _, app := range q.Apps {
		if !now.known().Has(app) {
			return gitops.FieldErrorf("app", "%s", now.known().policy.UnknownApp(app))
		}
	}
	for _, environment := range q.Environments {
		if _, ok := now.config.Environments[environment]; !ok {
			return gitops.FieldErrorf("env", "%s", now.known().policy.UnknownEnvironment(environment))
		}
	}
	return nil
}

// tryUpdate makes the edits of an update on its files as they are on the branch, and
// drops them.
func (s *Server) tryUpdate(e *Effect, u gitops.Update, view *manifest.View) {
	to, _ := s.current().known().Target(u.Environment, u.App)
	if _, inspected := s.current().images[u.Environment]; inspected && u.Digest == "" {
		u.Digest = zeroDigest
	}
	var changed []FileEffect
	for i, f := range to.Files {
		file, err := view.ReadFile(f.Path)
		if i == 0 && err == nil && u.OnlyUp {
			if tag, err := f.Edit.ReadTag(file); err == nil && gitops.LowerVersion(u.Tag, tag) {
				e.Taken, e.Reason = false, gitops.LowerThan(u, tag, "is in "+f.Path)
				return
			}
		}
		var r values.Result
		if err == nil {
			r, err = f.Edit.Set(file, values.Vars{Tag: u.Tag, Digest: u.Digest, Repository: u.Repository})
		}
		if err != nil { // no file is written then
			e.Taken, e.Reason = false, "it would be accepted, and then fail: "+gitops.PublicOf(to.Written().ErrorIn(i, err))
			return
		}
		if r.Changed {
			changed = append(changed, FileEffect{File: f.Path, Keys: r.Paths, Diff: diff(file, r.Text)})
		}
	}
	if len(changed) == 0 {
		e.Reason = "the file already has this tag"
		return
	}
	e.Files = changed
}

// diff is the lines that differ, without context.
func diff(before, after []byte) string {
	text := new(strings.Builder) // which takes everything
	_ = difflib.WriteUnifiedDiff(text, difflib.UnifiedDiff{A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after))})
	return text.String()
}
