package git

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
)

// A file that nobody wants takes nothing, whatever it inflates to, also as what others
// are deltas of; those that are wanted come, and what has no room is left out.
func TestFilesThatNobodyWantsTakeNoMemory(t *testing.T) {
	zeros := make([]byte, 64<<20) // 64 KiB in a pack
	wanted := Object{KindBlob, []byte("image:\n  tag: v1\n")}
	large := Object{KindBlob, bytes.Repeat([]byte("x"), 2<<20)}
	entries := [][]byte{rawEntry(KindBlob, len(zeros), nil, zeros)}
	for n := range 40 { // together more than is held of what nobody wants
		file := append(bytes.Repeat([]byte("y"), 1<<20-20), fmt.Sprint(n)...)
		entries = append(entries, rawEntry(KindBlob, len(file), nil, file))
	}
	entries = append(entries, rawEntry(KindBlob, len(wanted.Data), nil, wanted.Data), rawEntry(KindBlob, len(large.Data), nil, large.Data))
	pack := rawPack(len(entries), entries...)
	sizes := make(map[Hash]int64)
	limits := packLimits{
		bytes: 40 << 20, file: 1 << 20, oversize: func(file Hash, size int64) { sizes[file] = size },
		files: func(file Hash) bool { return file == wanted.Name() || file == large.Name() },
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	objects, err := readPack(t.Context(), bytes.NewReader(pack), Nothing, limits)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 || !bytes.Equal(objects[wanted.Name()].Data, wanted.Data) || len(objects[large.Name()].Data) != 0 {
		t.Errorf("%d objects are kept", len(objects))
	}
	if sizes[large.Name()] != 2<<20 || len(sizes) != 2 {
		t.Errorf("too large are %v", sizes)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 128<<20 {
		t.Errorf("%d MiB were allocated", allocated>>20)
	}

	limits.files, limits.bytes = nil, 16<<20
	objects, err = readPack(t.Context(), bytes.NewReader(pack), Nothing, limits)
	if err != nil || len(objects) < 5 || len(objects) > 16 {
		t.Errorf("without room %d objects are kept, %v", len(objects), err)
	}
}

// Trees that are within one another, or in many places, are bounded before they are
// made, by depth and by what they take, and the tree is named; comparing them ends.
func TestTreesWithoutEnd(t *testing.T) {
	m := make(memory)
	deep := m.put(KindTree, nil)
	for range 100_000 {
		deep = m.put(KindTree, treeOf(ModeDirectory, []string{"a"}, []Hash{deep}))
	}
	var limit *LimitError
	if _, err := NewDirectory(deep, m, NewIndex(nil), 1<<40); !errors.As(err, &limit) {
		t.Errorf("100,000 directories within one another: %v", err)
	}
	wide := func(leaf string) *Directory {
		names := make([]string, 10)
		for n := range names {
			names[n] = fmt.Sprint(n)
		}
		below := m.put(KindBlob, []byte(leaf))
		mode := ModeFile
		for range 12 { // 10^12 paths
			hashes := make([]Hash, len(names))
			for n := range hashes {
				hashes[n] = below
			}
			below, mode = m.put(KindTree, treeOf(mode, names, hashes)), ModeDirectory
		}
		d, err := NewDirectory(below, m, NewIndex(nil), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	was, now := wide("one"), wide("another")
	if paths, ok := now.Changed(was); ok {
		t.Errorf("%d paths changed", len(paths))
	}
	names, hashes := make([]string, 10_000), make([]Hash, 10_000)
	for n := range names {
		names[n] = fmt.Sprintf("f%06d", n)
	}
	if _, err := NewDirectory(m.put(KindTree, treeOf(ModeFile, names, hashes)), m, NewIndex(nil), 1<<20); !errors.As(err, &limit) {
		t.Errorf("10,000 files in 1 MiB: %v", err)
	}
}
