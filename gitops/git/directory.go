package git

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Directory is a tree with all that is below it. It never changes once it is made:
// [Directory.Replace] makes another that shares whatever stayed. So a new tip costs
// what differs, and whoever reads an old one may go on for as long as they like.
// Safe for concurrent use.
type Directory struct {
	Name   Hash
	data   []byte           // the tree object
	places map[string]place // by name; shared by directories with the same names; nil in a small one
	below  []node           // in the order of the entries
}

// place is where an entry is.
type place struct{ nth, at int32 }

// node is what an entry stands for; a submodule or a symbolic link is neither.
type node struct {
	directory *Directory
	file      *File
}

// File is a blob in a directory. Its content may come later than the directory.
// Safe for concurrent use.
type File struct {
	Name    Hash
	content atomic.Pointer[content]
}

type content struct {
	data    []byte
	refused error // why data is not kept
}

// Content returns the file's content, which must not be changed, and whether it is
// here. The error says why it is not kept.
func (f *File) Content() (data []byte, here bool, err error) {
	c := f.content.Load()
	if c == nil {
		return nil, false, nil
	}
	return c.data, true, c.refused
}

// SetContent keeps the content, which must not be changed any more.
func (f *File) SetContent(data []byte) { f.content.Store(&content{data: data}) }

// Refuse notes why the content is not kept: it is not asked for again.
func (f *File) Refuse(why error) { f.content.Store(&content{refused: why}) }

// Why there is no file at a path.
var (
	ErrNoEntry      = errors.New("no such file")
	ErrSymlink      = errors.New("a symbolic link")
	ErrSubmodule    = errors.New("a submodule")
	ErrDirectory    = errors.New("a directory")
	ErrNotDirectory = errors.New("a file stands where a directory should be")
)

// Find returns the file at the path, given by its names from d down.
func (d *Directory) Find(names []string) (*File, error) {
	for i, name := range names {
		e, nth, found := d.entry(name)
		last := i == len(names)-1
		switch {
		case !found:
			return nil, ErrNoEntry
		case e.Mode == ModeSymlink:
			return nil, ErrSymlink
		case e.Mode == ModeSubmodule:
			return nil, ErrSubmodule
		case last && e.Mode == ModeDirectory:
			return nil, ErrDirectory
		case !last && e.Mode != ModeDirectory:
			return nil, ErrNotDirectory
		case last:
			return d.below[nth].file, nil
		}
		d = d.below[nth].directory
	}
	return nil, ErrDirectory
}

// manyEntries is how many entries make a directory large: it is then asked by name
// and not read from its beginning.
const manyEntries = 16

// entry finds an entry by name. That the tree is well formed was seen when the
// directory was made.
func (d *Directory) entry(name string) (e Entry, nth int, found bool) {
	if d.places != nil {
		p, found := d.places[name]
		if found {
			e, _ = nextEntry(d.data, int(p.at))
		}
		return e, int(p.nth), found
	}
	for at := 0; at < len(d.data); at += e.size {
		e, _ = nextEntry(d.data, at)
		if string(e.Name) == name {
			return e, nth, true
		}
		nth++
	}
	return Entry{}, 0, false
}

// Change is another content for a file that is there.
type Change struct {
	Names   []string // of the file's path
	Content []byte
}

// Replace returns the directory in which files have other contents, and puts what
// is new for it into the draft. The changes are sorted by their names; each tree on
// the way is made once, however many files change in it. A path at which there is
// no file is an error as of [Directory.Find].
func (d *Directory) Replace(changes []Change, in *Draft) (*Directory, error) {
	next := &Directory{data: bytes.Clone(d.data), places: d.places, below: slices.Clone(d.below)}
	for len(changes) > 0 {
		first := changes[0]
		e, nth, found := d.entry(first.Names[0])
		n := 1
		switch {
		case !found:
			return nil, ErrNoEntry
		case len(first.Names) == 1:
			old := d.below[nth].file
			if old == nil {
				return nil, ErrDirectory
			}
			was, _, _ := old.Content()
			file := &File{Name: in.Put(Object{KindBlob, first.Content}, Base{old.Name, was})}
			file.SetContent(first.Content)
			next.below[nth].file = file
			copy(next.data[e.at+e.size-len(file.Name):], file.Name[:])
		default:
			old := d.below[nth].directory
			if old == nil {
				return nil, ErrNotDirectory
			}
			var within []Change
			for n = 0; n < len(changes) && changes[n].Names[0] == first.Names[0]; n++ {
				within = append(within, Change{changes[n].Names[1:], changes[n].Content})
			}
			below, err := old.Replace(within, in)
			if err != nil {
				return nil, err
			}
			next.below[nth].directory = below
			copy(next.data[e.at+e.size-len(below.Name):], below.Name[:])
		}
		changes = changes[n:]
	}
	next.Name = in.Put(Object{KindTree, next.data}, Base{d.Name, d.data})
	return next, nil
}

// NewDirectory makes the directory of a tree from the objects of a fetch. What they
// lack is taken from what is known; when it is not there either, the error is
// [ErrMissingObject]. Servers leave out what they assume a client to have: a
// shallow client must not rely on it (a bitmap, and a file put back to an old
// content, is enough). A file that was at the same path before keeps its content.
// What is made anew may take so many bytes, of which the error is a [LimitError].
func NewDirectory(name Hash, fetched map[Hash]Object, known *Index, most int64) (*Directory, error) {
	b := builder{fetched: fetched, known: known, made: make(map[Hash]*Directory), left: most}
	return b.directory(name, known.of)
}

// What a directory takes in memory beside its tree's bytes, and for each entry.
const (
	directoryCost = 200
	entryCost     = 120
)

// maxDepth is how many directories may be within one another. Making one takes some
// stack for each, half a KiB or so, and a stack that overflows ends the process. A path of
// 4,096 bytes, which is all that git can check out, has far fewer.
const maxDepth = 10_000

// LimitError says that what the branch has is more than is held.
type LimitError struct{ what string }

func (e *LimitError) Error() string { return e.what }

type builder struct {
	depth   int   // how many directories the one that is made is within
	left    int64 // bytes that may still be taken
	fetched map[Hash]Object
	known   *Index
	made    map[Hash]*Directory // a tree that is in many places is made once
}

func (b *builder) directory(name Hash, was *Directory) (*Directory, error) {
	if d := b.made[name]; d != nil {
		return d, nil
	}
	o, ok := b.fetched[name]
	if !ok || o.Kind != KindTree {
		if d := b.known.directory(name); d != nil {
			return d, nil
		}
		return nil, fmt.Errorf("%w: the tip needs the tree %s", ErrMissingObject, name)
	}
	if b.depth++; b.depth > maxDepth {
		return nil, &LimitError{fmt.Sprintf("the branch has directories within one another, more than %d deep, down to the tree %s", maxDepth, name)}
	}
	defer func() { b.depth-- }()
	d := &Directory{Name: name, data: o.Data}
	if err := b.spend(name, directoryCost+int64(len(o.Data))); err != nil {
		return nil, err
	}
	err := eachEntry(o.Data, func(e Entry) error {
		if err := b.spend(name, entryCost); err != nil {
			return err
		}
		n, err := b.node(e, was)
		d.below = append(d.below, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.made[name] = d
	return d, d.findPlaces(was)
}

func (b *builder) spend(tree Hash, bytes int64) error {
	if b.left -= bytes; b.left < 0 {
		return &LimitError{fmt.Sprintf("the branch's directories take more memory than limits.snapshot has for them (at the tree %s): raise it, or write a branch with fewer files", tree)}
	}
	return nil
}

// node makes what an entry stands for. was is the directory that was there before;
// nil when there was none.
func (b *builder) node(e Entry, was *Directory) (node, error) {
	var old node
	if was != nil {
		if _, nth, found := was.entry(string(e.Name)); found {
			old = was.below[nth]
		}
	}
	switch e.Mode {
	case ModeSubmodule, ModeSymlink:
		return node{}, nil
	case ModeDirectory:
		if old.directory != nil && old.directory.Name == e.Hash {
			return node{directory: old.directory}, nil
		}
		d, err := b.directory(e.Hash, old.directory)
		return node{directory: d}, err
	}
	if old.file != nil && old.file.Name == e.Hash {
		return node{file: old.file}, nil
	}
	return node{file: &File{Name: e.Hash}}, nil
}

// findPlaces makes a large directory findable by name.
func (d *Directory) findPlaces(was *Directory) error {
	if len(d.below) <= manyEntries {
		return nil
	}
	if was != nil && len(was.below) == len(d.below) && sameNames(was.data, d.data) {
		d.places = was.places
		return nil
	}
	d.places = make(map[string]place, len(d.below))
	nth := int32(0)
	return eachEntry(d.data, func(e Entry) error {
		d.places[string(e.Name)] = place{nth, int32(e.at)}
		nth++
		return nil
	})
}

// sameNames reports whether two trees have the same names in the same places.
func sameNames(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for at := 0; at < len(a); {
		e, _ := nextEntry(a, at)
		head := e.size - len(e.Hash)
		if !bytes.Equal(a[at:at+head], b[at:at+head]) {
			return false
		}
		at += e.size
	}
	return true
}
