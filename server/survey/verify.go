package survey

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/starter"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// verify has the discovery look at the tree by the proposal, as tallyman would, and notes
// where it finds something else than the proposal says: then a pattern is to be corrected
// by hand. Files that were not read are not asked for.
func verify(f *starter.Findings, root *git.Directory) {
	rules, err := discover.Compile(discover.Config{
		Entries: f.Entries(), Environments: f.Environments(),
		Set: func(string) []values.Target { return nil }, Limits: values.Limits{Bytes: starter.MaxFileBytes},
	})
	if err != nil {
		f.Note("the proposal is not right yet: %s", gitops.PublicOf(err))
		return
	}
	result := rules.Look(root, func(_ string, file *git.File, parse func(text []byte) error) error {
		text, here, err := file.Content()
		switch {
		case err != nil:
			return err
		case !here:
			return gitops.Errorf(gitops.Unavailable, "the file was not read")
		}
		return parse(text)
	})
	const shown = 5
	for i, p := range result.Problems {
		if i == shown {
			f.Note("%d more problems: tallyman check lists them", len(result.Problems)-shown+result.More)
			break
		}
		f.Note("a pattern finds what cannot be an app: %s", p.Message)
	}
	claimed := make(map[starter.Target]bool)
	for _, t := range f.Targets() {
		claimed[t] = true
	}
	more := 0
	for _, r := range result.Found {
		if t := (starter.Target{App: r.App, Environment: r.Environment, File: r.File}); claimed[t] {
			delete(claimed, t)
		} else {
			more++
		}
	}
	if less := len(claimed); more > 0 || less > 0 && len(result.Needs) == 0 {
		f.Note("the patterns find %d files and keys more than those above, and %d of them not: tallyman check lists what they find", more, less)
	}
}
