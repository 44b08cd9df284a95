package manifest

import (
	"cmp"
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/history"
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

func appOfTag(t *edit.OtherTag) appOf { return appOf{t.Environment, t.App} }

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

// findEdits finds out who put tags where they are. It returns false when the branch has
// moved meanwhile: then a plan on the new tip is due.
func (a *actor) findEdits(ctx context.Context, asked []*edit.OtherTag) (stayed bool, err error) {
	at := a.snapshot.Tip
	for _, q := range asked {
		found, err := a.finder.Find(ctx, handedit.Question{Environment: q.Environment, App: q.App, Path: q.Path, Read: a.edits.ReadPast(q.Path, q.Reader)})
		if err != nil {
			return false, err
		}
		if found.Tip.IsZero() {
			found.Tip, found.Edit.Tag = a.snapshot.Tip, q.Tag
		}
		if err := a.moveSoon(ctx, found.Tip); err != nil {
			return false, err
		}
		f, err := a.snapshot.File(q.Path)
		if err != nil || found.Tip != a.snapshot.Tip || found.Tip != at && found.Edit.Tag != q.Tag {
			continue // it is compared again on the new tip
		}
		found.Edit.Tag, found.Edit.Commit = q.Tag, cmp.Or(found.Edit.Commit, f.Name.String())
		a.origins[tagAt{appOfTag(q), q.Path, f.Name.String()}] = found
		a.config.Logger.InfoContext(ctx, "unexpected tag in a file", "environment", q.Environment, "app", q.App,
			"file", q.Path, "tag", found.Edit.Tag, "byHand", found.ByHand, "commit", found.Edit.Commit)
	}
	return a.snapshot.Tip == at, nil
}
