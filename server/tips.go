package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/api"
)

const (
	tipsFor    = 3 * time.Second // how old an answer may be
	tipsWithin = 5 * time.Second // how long origin may take
)

// tips tells what origin's branch says of every app. Whoever asks while it is
// being read gets the same answer.
type tips struct {
	origin  *manifest.Writer
	targets []target // sorted
	files   []string // of the targets
	tags    []tagReader

	mu    sync.Mutex
	asked time.Time // when origin was last asked, whether it answered or not
	last  api.Tips
	known map[target]tip

	commit string // the tip that last is of, or one before it
}

// tip is what was read of one file, for as long as it has the same content.
type tip struct {
	content      [sha256.Size]byte
	tag, problem string
}

func (s *Server) newTips() *tips {
	t := &tips{origin: s.writer, known: make(map[target]tip)}
	t.targets = slices.SortedFunc(maps.Keys(s.parts.targets), func(a, b target) int {
		return cmp.Or(cmp.Compare(a.environment, b.environment), cmp.Compare(a.app, b.app))
	})
	for _, target := range t.targets {
		to := s.parts.targets[target]
		t.files = append(t.files, to.File)
		t.tags = append(t.tags, newTagReader(to.Editor, s.config.Target(target.environment, target.app).Set))
	}
	return t
}

// Tips implements api.Origin.
func (t *tips) Tips(ctx context.Context) api.Tips {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.asked.IsZero() && time.Since(t.asked) < tipsFor {
		return t.last
	}
	began := time.Now()
	err := t.look(ctx)
	t.asked = time.Now()
	if err != nil {
		t.last.Problem = problemOf(err)
		return t.last
	}
	t.last.AsOf, t.last.Problem = began.UTC(), nil // what came meanwhile may not be in it
	return t.last
}

// look asks origin, and reads the files if it has moved on.
func (t *tips) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tipsWithin) // others wait for it, too
	defer cancel()
	commit, err := t.origin.Tip(ctx)
	if err != nil || commit == t.commit {
		return err
	}
	files, err := t.origin.ReadFiles(ctx, t.files...) // of this commit or a later one
	if err != nil {
		return err
	}
	apps := make([]api.Tip, len(files))
	for i, file := range files {
		target := t.targets[i]
		said := t.tipOf(target, t.tags[i], file)
		apps[i] = api.Tip{Environment: target.environment, App: target.app, File: file.Path, Tag: said.tag, Problem: said.problem}
	}
	t.commit, t.last.Apps = commit, apps
	return nil
}

func problemOf(err error) *gitops.Error {
	var e *gitops.Error
	if errors.As(err, &e) {
		return e
	}
	return gitops.Errorf(gitops.CodeOf(err), "%s", gitops.PublicOf(err))
}

// tipOf reads a file's tag, unless it was read before.
func (t *tips) tipOf(target target, tags tagReader, file manifest.File) tip {
	if file.Err != nil {
		return tip{problem: gitops.PublicOf(file.Err)}
	}
	sum := sha256.Sum256(file.Content)
	if known, ok := t.known[target]; ok && known.content == sum {
		return known
	}
	now := tip{content: sum}
	tag, err := tags.read(file.Content)
	if now.tag = tag; err != nil {
		now.problem = gitops.PublicOf(err)
	}
	t.known[target] = now
	return now
}
