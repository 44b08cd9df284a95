package manifest

import (
	"errors"
	"fmt"
	"time"
)

// snapshot is the branch's tip as it was last seen or made: every tree and file
// that the tip reaches, and nothing of what was before. A partial one has every
// tree, and of the files those that were lately asked for. It belongs to the actor.
//
// A snapshot may be behind the remote at any time. What is decided on it counts
// only after the remote has confirmed that the tip is still this one: by taking
// a push that names it as the old value, or by being asked.
type snapshot struct {
	tip  hash
	head commit // the tip's commit

	objects map[hash]object // complete for tip; what was replaced since the last sweep is there too
	bytes   int             // of all objects
	swept   int             // bytes after the last sweep
	files   *fileCache      // of a partial snapshot; nil where objects has the files

	landed landed
}

// newSnapshot makes a snapshot of a tip from the objects of one fetch, and
// refuses when one is missing.
func newSnapshot(tip hash, fetched map[hash]object, partial bool, now time.Time) (*snapshot, error) {
	s := &snapshot{objects: make(map[hash]object), landed: newLanded(now)}
	if partial {
		s.files = newFileCache()
	}
	if err := s.adopt(tip, fetched); err != nil {
		return nil, err
	}
	s.swept = s.bytes
	return s, nil
}

func (s *snapshot) object(name hash) (object, bool) {
	o, ok := s.objects[name]
	if !ok && s.files != nil {
		return s.files.get(name)
	}
	return o, ok
}

// without is what need not come with another tip.
func (s *snapshot) without() filter {
	if s.files != nil {
		return filesLeftOut
	}
	return noneLeftOut
}

// adopt moves the snapshot to another tip. The objects that it lacks come from
// fetched; when one is in neither, nothing has changed and the error is
// errMissingObject. Servers leave objects out that they believe a client to
// have: a shallow client must not take their word (a bitmap, and a file put back
// to an old content, is enough).
func (s *snapshot) adopt(tip hash, fetched map[hash]object) error {
	o, ok := fetched[tip]
	if !ok || o.kind != kindCommit {
		return fmt.Errorf("%w: the commit that was asked for did not come", errMissingObject)
	}
	head, err := parseCommit(o.data)
	if err != nil {
		return err
	}
	if err := s.reach(head.tree, func(name hash) (object, bool) { o, ok := fetched[name]; return o, ok }); err != nil {
		return err
	}
	if editsOnce && !s.tip.IsZero() {
		head.tree = s.head.tree
	}
	s.tip, s.head = tip, head
	return nil
}

// reach takes in what the tree reaches and the snapshot lacks.
func (s *snapshot) reach(root hash, from packSource) error {
	reached := make(map[hash]object)
	var reach func(name hash, k kind) error
	reach = func(name hash, k kind) error {
		if _, ok := s.objects[name]; ok {
			return nil // and with it all that it reaches
		}
		if k == kindBlob && s.files != nil {
			return nil // it comes when it is asked for
		}
		if _, ok := reached[name]; ok {
			return nil
		}
		o, ok := from(name)
		if !ok || o.kind != k {
			return fmt.Errorf("%w: the tip needs %s %s", errMissingObject, k, name)
		}
		reached[name] = o
		if k == kindBlob {
			return nil
		}
		return eachEntry(o.data, func(e entry) error { return reachEntry(e, reach) })
	}
	if err := reach(root, kindTree); err != nil {
		return err
	}
	for name, o := range reached {
		s.add(name, o)
	}
	return nil
}

func reachEntry(e entry, reach func(hash, kind) error) error {
	switch e.mode {
	case modeDirectory:
		return reach(e.hash, kindTree)
	case modeSubmodule:
		return nil // a commit of another repository
	}
	return reach(e.hash, kindBlob)
}

func (s *snapshot) add(name hash, o object) {
	if _, ok := s.objects[name]; !ok {
		s.objects[name] = o
		s.bytes += len(o.data)
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
	live := &snapshot{objects: make(map[hash]object, len(s.objects)), files: s.files}
	if err := live.reach(s.head.tree, s.object); err != nil {
		return err
	}
	s.objects, s.bytes, s.swept = live.objects, live.bytes, live.bytes
	return nil
}

// store is where trees and files are read from: a snapshot, or a draft on it.
type store interface {
	object(hash) (object, bool)
}

var (
	errNoEntry      = errors.New("no such file")
	errSymlink      = errors.New("a symbolic link")
	errSubmodule    = errors.New("a submodule")
	errDirectory    = errors.New("a directory")
	errNotDirectory = errors.New("a file stands where a directory should be")
)

// lookUp finds the file at the path, given by its names from the root down.
func lookUp(from store, root hash, names []string) (entry, object, error) {
	at := root
	for i, name := range names {
		tree, ok := from.object(at)
		if !ok {
			return entry{}, object{}, errMissingObject
		}
		e, found, err := findEntry(tree.data, name)
		if err != nil {
			return entry{}, object{}, err
		}
		if !found {
			return entry{}, object{}, errNoEntry
		}
		last := i == len(names)-1
		switch {
		case e.mode == modeSymlink:
			return e, object{}, errSymlink
		case e.mode == modeSubmodule:
			return e, object{}, errSubmodule
		case last && e.mode == modeDirectory:
			return e, object{}, errDirectory
		case !last && e.mode != modeDirectory:
			return e, object{}, errNotDirectory
		case last:
			file, ok := from.object(e.hash)
			if !ok {
				return e, object{}, errMissingObject
			}
			return e, file, nil
		}
		at = e.hash
	}
	return entry{}, object{}, errDirectory
}
