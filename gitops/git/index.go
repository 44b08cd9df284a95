package git

// Index finds what is in a directory by its hash. It is made when it is first
// asked, and belongs to one goroutine.
type Index struct {
	of          *Directory // nil for one in which nothing is
	directories map[Hash]*Directory
	files       map[Hash]*File
}

// NewIndex makes the index of a directory, which may be nil.
func NewIndex(of *Directory) *Index { return &Index{of: of} }

func (x *Index) directory(name Hash) *Directory {
	if x.directories == nil {
		x.directories = make(map[Hash]*Directory)
		x.add(x.of)
	}
	return x.directories[name]
}

func (x *Index) add(d *Directory) {
	if d == nil || x.directories[d.Name] != nil {
		return
	}
	x.directories[d.Name] = d
	for _, n := range d.below {
		x.add(n.directory)
	}
}

// Object is a [Source] of the trees, and of the files whose content is here.
func (x *Index) Object(name Hash) (Object, bool) {
	if d := x.directory(name); d != nil {
		return Object{KindTree, d.data}, true
	}
	if x.files == nil {
		x.files = make(map[Hash]*File)
		for _, d := range x.directories {
			for _, n := range d.below {
				if n.file != nil {
					x.files[n.file.Name] = n.file
				}
			}
		}
	}
	if f := x.files[name]; f != nil {
		if c := f.content.Load(); c != nil && c.refused == nil {
			return Object{KindBlob, c.data}, true
		}
	}
	return Object{}, false
}
