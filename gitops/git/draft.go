package git

import "fmt"

// maxChain is how many deltas may stand on one another. Receivers accept more,
// but each reader of the object pays for the chain, and git itself stops at 50
// (pack.depth in git-config(1)).
const maxChain = 50

// Draft collects the objects of a push in the order they are made, each with
// the object it differs little from.
type Draft struct {
	base    Store
	objects map[Hash]*Drafted
	Order   []*Drafted
	Size    int // bytes of them all
}

// Drafted is one new object.
type Drafted struct {
	Object
	Name   Hash
	like   Hash // the object it was made from; zero when there is none
	origin Hash // the object that the server has, from which this chain of deltas began
	chain  int  // how many deltas lie between this and origin
}

func NewDraft(base Store) *Draft {
	return &Draft{base: base, objects: make(map[Hash]*Drafted)}
}

// Object finds an object among the new ones and those of its base.
func (d *Draft) Object(name Hash) (Object, bool) {
	if o, ok := d.objects[name]; ok {
		return o.Object, true
	}
	return d.base.Object(name)
}

// Made finds an object among the new ones only.
func (d *Draft) Made(name Hash) (Object, bool) {
	if o, ok := d.objects[name]; ok {
		return o.Object, true
	}
	return Object{}, false
}

// Put adds an object unless the server has it, and returns its name.
func (d *Draft) Put(o Object, like Hash) Hash {
	name := o.Name()
	if _, ok := d.Object(name); ok {
		return name
	}
	n := &Drafted{Object: o, Name: name, like: like, origin: like}
	if !like.IsZero() {
		n.chain = 1
	}
	if made, ok := d.objects[like]; ok {
		n.origin, n.chain = made.origin, made.chain+1
		if n.chain > maxChain {
			n.like, n.chain = n.origin, min(1, n.chain)
		}
	}
	d.objects[name] = n
	d.Order = append(d.Order, n)
	d.Size += len(o.Data)
	return name
}

// Placed is a file that goes into a tree, under its names from there on.
type Placed struct {
	Names []string
	Mode  string
	Hash  Hash
}

// Replace puts files, sorted by their names, into the tree and returns the new
// one. Each tree on the way is made once, however many files go into it; those
// that are missing are made.
func (d *Draft) Replace(tree Hash, files []Placed) (Hash, error) {
	var data []byte
	if !tree.IsZero() {
		o, ok := d.Object(tree)
		if !ok {
			return Hash{}, fmt.Errorf("%w: tree %s", ErrMissingObject, tree)
		}
		data = o.Data
	}
	for len(files) > 0 {
		name, mode, to := files[0].Names[0], files[0].Mode, files[0].Hash
		n := 1
		if len(files[0].Names) > 1 {
			var within []Placed
			for n = 0; n < len(files) && files[n].Names[0] == name && len(files[n].Names) > 1; n++ {
				within = append(within, Placed{files[n].Names[1:], files[n].Mode, files[n].Hash})
			}
			below, found, err := FindEntry(data, name)
			if err != nil {
				return Hash{}, err
			}
			if found && below.Mode != ModeDirectory {
				return Hash{}, ErrNotDirectory
			}
			if to, err = d.Replace(below.Hash, within); err != nil {
				return Hash{}, err
			}
			mode = ModeDirectory
		}
		var err error
		if data, err = SetEntry(data, name, mode, to); err != nil {
			return Hash{}, err
		}
		files = files[n:]
	}
	return d.Put(Object{KindTree, data}, tree), nil
}
