package git

import (
	"errors"
	"testing"
)

// Directories may be within one another as deep as any path, and deeper than that they are
// an error, not the end of the process.
func TestDeepDirectories(t *testing.T) {
	for depth, fits := range map[int]bool{1: true, maxDepth: true, maxDepth + 1: false} {
		fetched := make(map[Hash]Object)
		tree := Object{Kind: KindTree}
		for range depth - 1 {
			fetched[tree.Name()] = tree
			name := tree.Name()
			tree = Object{Kind: KindTree, Data: append([]byte("40000 d\x00"), name[:]...)}
		}
		fetched[tree.Name()] = tree
		_, err := NewDirectory(tree.Name(), fetched, NewIndex(nil), 1<<30)
		if tooDeep := errors.As(err, new(*LimitError)); tooDeep == fits || err != nil && !tooDeep {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
}
