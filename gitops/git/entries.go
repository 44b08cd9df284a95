package git

import "iter"

// Below is what an entry of a directory stands for: a directory, a file, or neither
// when it is a symbolic link or a submodule.
type Below struct {
	Directory *Directory
	File      *File
}

// Entries yields the entries in the tree's order, in which a directory's name counts
// with a slash behind it. The names are those of the tree's data: they must not be
// changed, and a copy is needed to keep one without the tree.
func (d *Directory) Entries() iter.Seq2[Entry, Below] {
	return func(yield func(Entry, Below) bool) {
		for at, nth := 0, 0; at < len(d.data); nth++ {
			e, _ := nextEntry(d.data, at) // that the tree is well formed was seen when it was made
			if n := d.below[nth]; !yield(e, Below{n.directory, n.file}) {
				return
			}
			at += e.size
		}
	}
}

// Lookup returns the entry of a name.
func (d *Directory) Lookup(name string) (e Entry, b Below, found bool) {
	e, nth, found := d.entry(name)
	if !found {
		return Entry{}, Below{}, false
	}
	return e, Below{d.below[nth].directory, d.below[nth].file}, true
}
