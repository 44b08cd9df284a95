package manifest

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/git"
)

// snapshot is the branch's tip as it was last seen or made: every tree and file
// that the tip reaches, and nothing of what was before. A partial one has every
// tree, and of the files those that were lately asked for. It belongs to the actor.
//
// A snapshot may be behind the remote at any time. What is decided on it counts
// only after the remote has confirmed that the tip is still this one: by taking
// a push that names it as the old value, or by being asked.
type snapshot struct {
	tip  git.Hash
	head git.Commit // the tip's commit

	objects map[git.Hash]git.Object // complete for tip; what was replaced since the last sweep is there too
	bytes   int                     // of all objects
	swept   int                     // bytes after the last sweep
	files   *fileCache              // of a partial snapshot; nil where objects has the files

	landed landed
}

// newSnapshot makes a snapshot of a tip from the objects of one fetch, and
// refuses when one is missing.
func newSnapshot(tip git.Hash, fetched map[git.Hash]git.Object, partial bool, now time.Time) (*snapshot, error) {
	s := &snapshot{objects: make(map[git.Hash]git.Object), landed: newLanded(now)}
	if partial {
		s.files = newFileCache()
	}
	if err := s.adopt(tip, fetched); err != nil {
		return nil, err
	}
	s.swept = s.bytes
	return s, nil
}

func (s *snapshot) Object(name git.Hash) (git.Object, bool) {
	o, ok := s.objects[name]
	if !ok && s.files != nil {
		return s.files.get(name)
	}
	return o, ok
}

// without is what need not come with another tip.
func (s *snapshot) without() git.Filter {
	if s.files != nil {
		return git.FilterBlobs
	}
	return git.FilterNone
}

// adopt moves the snapshot to another tip. The objects that it lacks come from
// fetched; when one is in neither, nothing has changed and the error is
// git.ErrMissingObject. Servers leave objects out that they believe a client to
// have: a shallow client must not take their word (a bitmap, and a file put back
// to an old content, is enough).
func (s *snapshot) adopt(tip git.Hash, fetched map[git.Hash]git.Object) error {
	o, ok := fetched[tip]
	if !ok || o.Kind != git.KindCommit {
		return fmt.Errorf("%w: the commit that was asked for did not come", git.ErrMissingObject)
	}
	head, err := git.ParseCommit(o.Data)
	if err != nil {
		return err
	}
	if err := s.reach(head.Tree, func(name git.Hash) (git.Object, bool) { o, ok := fetched[name]; return o, ok }); err != nil {
		return err
	}
	if editsOnce && !s.tip.IsZero() {
		head.Tree = s.head.Tree
	}
	s.tip, s.head = tip, head
	return nil
}

// reach takes in what the tree reaches and the snapshot lacks.
func (s *snapshot) reach(root git.Hash, from git.Source) error {
	reached := make(map[git.Hash]git.Object)
	var reach func(name git.Hash, k git.Kind) error
	reach = func(name git.Hash, k git.Kind) error {
		if _, ok := s.objects[name]; ok {
			return nil // and with it all that it reaches
		}
		if k == git.KindBlob && s.files != nil {
			return nil // it comes when it is asked for
		}
		if _, ok := reached[name]; ok {
			return nil
		}
		o, ok := from(name)
		if !ok || o.Kind != k {
			return fmt.Errorf("%w: the tip needs %s %s", git.ErrMissingObject, k, name)
		}
		reached[name] = o
		if k == git.KindBlob {
			return nil
		}
		return git.EachEntry(o.Data, func(e git.Entry) error { return reachEntry(e, reach) })
	}
	if err := reach(root, git.KindTree); err != nil {
		return err
	}
	for name, o := range reached {
		s.add(name, o)
	}
	return nil
}

func reachEntry(e git.Entry, reach func(git.Hash, git.Kind) error) error {
	switch e.Mode {
	case git.ModeDirectory:
		return reach(e.Hash, git.KindTree)
	case git.ModeSubmodule:
		return nil // a commit of another repository
	}
	return reach(e.Hash, git.KindBlob)
}

func (s *snapshot) add(name git.Hash, o git.Object) {
	if _, ok := s.objects[name]; !ok {
		s.objects[name] = o
		s.bytes += len(o.Data)
	}
}

// sweepSlack is how many bytes of replaced objects are always let be.
const sweepSlack = 1 << 20

// sweep forgets what the tip no longer reaches, when that is worth the walk:
// a large directory leaves a tree of its size behind with every commit.
func (s *snapshot) sweep() error {
	if s.bytes <= s.swept+s.swept/4+sweepSlack {
		return nil
	}
	return s.forget()
}

// drop forgets it in any case, and every file of a partial snapshot: which of those
// the tip reaches is not worth finding out.
func (s *snapshot) drop() error {
	if s.files != nil {
		s.files = newFileCache()
	}
	return s.forget()
}

func (s *snapshot) forget() error {
	live := &snapshot{objects: make(map[git.Hash]git.Object, len(s.objects)), files: s.files}
	if err := live.reach(s.head.Tree, s.Object); err != nil {
		return err
	}
	s.objects, s.bytes, s.swept = live.objects, live.bytes, live.bytes
	return nil
}
