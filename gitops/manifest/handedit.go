package manifest

import (
	"cmp"
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// An update that names the tag which its file must have is compared with the file while it
// is planned: that asks the server nothing. Only when there is another tag it is found out,
// between two plans, who put it there. See package handedit.

// Bounds of what is asked for one push. What they leave out waits for the next.
const (
	mostSearches = 8
	searchWithin = 10 * time.Second
)

// appOf is an app in an environment.
type appOf struct{ environment, app string }

func appOfUpdate(u gitops.Update) appOf { return appOf{u.Environment, u.App} }

// otherTag says that the first file of an update has a tag that was not expected.
type otherTag struct {
	of     appOf
	file   *edited
	reader TagReader
	tag    string
}

func (e *otherTag) Error() string { return "the file has the tag " + e.tag }

// tagAt is the tag of an app in a file with a content.
type tagAt struct {
	of           appOf
	path, object string
}

// newFinder makes what finds out who put a tag into a file. What it reads is bounded as a
// catch-up is.
func (a *actor) newFinder() *handedit.Finder {
	return handedit.New(a.Remote, a.config.Branch, a.config.Prover, history.Limits{
		Memory: a.config.Limits.Snapshot, FileBytes: int64(a.config.Limits.FileBytes),
		Enter: func(ctx context.Context, o gitops.ParsedObject) (func(), error) {
			return a.config.Guard.Enter(ctx, o, 0, true)
		},
	}, searchWithin)
}

// compare reports, as an [*otherTag], that the file has neither the tag that is expected of
// it nor the update's own. What has no tag that can be read is left to the edit.
func (a *actor) compare(file *edited, to FileEdit, u gitops.Update, expected string) error {
	reader, ok := to.Editor.(TagReader)
	if expected == "" || !ok {
		return nil
	}
	tag := file.tag(to)
	if of := appOfUpdate(u); tag != "" && tag != expected && tag != u.Tag && tag != a.wrote[of] {
		return &otherTag{of, file, reader, tag}
	}
	return nil
}

// findEdits finds out who put tags where they are. It returns false when the branch has
// moved meanwhile: then a plan on the new tip is due.
func (a *actor) findEdits(ctx context.Context, asked []*otherTag) (stayed bool, err error) {
	at := a.snapshot.Tip
	for _, q := range asked {
		found, err := a.finder.Find(ctx, handedit.Question{Environment: q.of.environment, App: q.of.app, Path: q.file.path, Read: a.readPast(q)})
		if a.failed[q.of]++; err != nil && a.failed[q.of] < branch.MaxTries {
			return false, err
		}
		if delete(a.failed, q.of); err != nil { // of what else works this does not, and holds nothing up any more
			found = handedit.Answer{ByHand: true, Edit: gitops.HandEdit{Author: handedit.Nobody}}
		}
		if found.Tip.IsZero() {
			found.Tip, found.Edit.Tag = a.snapshot.Tip, q.tag
		}
		if err := a.moveSoon(ctx, found.Tip); err != nil {
			return false, err
		}
		f, err := a.snapshot.File(q.file.path)
		if err != nil || found.Tip != a.snapshot.Tip || found.Tip != at && found.Edit.Tag != q.tag {
			continue // it is compared again on the new tip
		}
		found.Edit.Tag, found.Edit.Commit = q.tag, cmp.Or(found.Edit.Commit, f.Name.String())
		a.origins[tagAt{q.of, q.file.path, f.Name.String()}] = found
		a.config.Logger.InfoContext(ctx, "unexpected tag in a file", "environment", q.of.environment, "app", q.of.app,
			"file", q.file.path, "tag", found.Edit.Tag, "byHand", found.ByHand, "commit", found.Edit.Commit)
	}
	return a.snapshot.Tip == at, nil
}

// readPast reads the tag out of a file as it was once.
func (a *actor) readPast(q *otherTag) func(context.Context, string, []byte) (string, error) {
	return func(ctx context.Context, object string, content []byte) (string, error) {
		leave, err := a.config.Guard.Enter(ctx, gitops.ParsedObject{Object: object, Kind: gitops.ParsedPast, Path: q.file.path}, values.Measure(content).Cost(), true)
		if err != nil {
			return "", err
		}
		defer leave()
		return q.reader.ReadTag(content)
	}
}
