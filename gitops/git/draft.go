package git

import "bytes"

// maxChain is how many deltas may stand on one another. Receivers accept more,
// but each reader of the object pays for the chain, and git itself stops at 50
// (pack.depth in git-config(1)).
const maxChain = 50

// Draft collects the objects of a push in the order they are made, each as what
// differs from the one that it was made from. Of an object that changes often, such
// as a large directory's tree, it holds the whole once and not for each commit. What
// it holds is its own: the data of an object may be written over once it is put.
type Draft struct {
	objects []drafted
	made    map[Hash]int  // where in objects
	outside map[Hash]bool // what deltas are made from that only the server has
	scratch []byte
	size    int
}

// drafted is one new object.
type drafted struct {
	kind  Kind
	name  Hash
	base  Hash   // what the delta is made from; zero when there is none
	delta []byte // nil when there is none
	whole []byte // the object's data; nil where the base is in the draft, too
	root  int    // where in objects this chain of deltas begins
	chain int    // how many deltas it takes to make this one of what the server has
}

// Base is an object that another is made from: the server has it, or it was put
// into the same draft. The zero Base means no base.
type Base struct {
	Name Hash
	Data []byte
}

// NewDraft makes an empty draft.
func NewDraft() *Draft {
	return &Draft{made: make(map[Hash]int), outside: make(map[Hash]bool)}
}

// Size is how many bytes the draft holds.
func (d *Draft) Size() int { return d.size }

// Put adds an object, unless it is there or is known to be on the server, and
// returns its name.
func (d *Draft) Put(o Object, from Base) Hash {
	name := o.Name()
	_, made := d.made[name]
	if made || d.outside[name] || name == from.Name {
		return name
	}
	n := drafted{kind: o.Kind, name: name, root: len(d.objects)}
	if !from.Name.IsZero() {
		d.deltify(&n, o.Data, from)
	}
	if n.root == len(d.objects) {
		n.whole = bytes.Clone(o.Data)
	}
	d.made[name] = len(d.objects)
	d.objects = append(d.objects, n)
	d.size += len(n.delta) + len(n.whole)
	return name
}

// deltify makes the delta from the base, or where that has a long chain from the
// chain's beginning.
func (d *Draft) deltify(n *drafted, data []byte, from Base) {
	root, chain := n.root, 1
	if at, inside := d.made[from.Name]; !inside {
		d.outside[from.Name] = true
	} else if root = d.objects[at].root; d.objects[at].chain < maxChain {
		chain = d.objects[at].chain + 1
	} else {
		from, chain = Base{d.objects[root].name, d.objects[root].whole}, d.objects[root].chain+1
	}
	if d.scratch = makeDelta(d.scratch[:0], from.Data, data); len(d.scratch) < len(data) {
		n.base, n.delta, n.root, n.chain = from.Name, bytes.Clone(d.scratch), root, chain
	}
}
