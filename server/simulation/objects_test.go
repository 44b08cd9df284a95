package simulation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

type hash = plumbing.Hash

// object is a git object with what is asked of it often.
type object struct {
	kind     plumbing.ObjectType
	data     []byte
	deflated []byte // made when it is first sent

	tree    hash // of a commit, as the rest
	parents []hash
	updates []string // of its Tallyman-Update trailers
	subject string
	entries []entry // of a tree
}

// entry is one line of a tree.
type entry struct {
	mode, name string
	hash       hash
}

func (e entry) isTree() bool { return e.mode == "40000" }

// objects are all that a repository has.
type objects map[hash]*object

// put adds an object and returns its name.
func (all objects) put(kind plumbing.ObjectType, data []byte) hash {
	name := plumbing.ComputeHash(kind, data)
	if _, ok := all[name]; ok {
		return name
	}
	o := &object{kind: kind, data: data}
	if err := o.parse(); err != nil {
		panic(fmt.Sprintf("the simulation itself made a malformed object: %v", err))
	}
	all[name] = o
	return name
}

// parse reads a commit or a tree, as strictly as git's fsck does where it matters.
func (o *object) parse() error {
	switch o.kind {
	case plumbing.CommitObject:
		return o.parseCommit()
	case plumbing.TreeObject:
		return o.parseTree()
	case plumbing.BlobObject:
		return nil
	}
	return fmt.Errorf("an object of type %s", o.kind)
}

func (o *object) parseCommit() error {
	header, message, ok := strings.Cut(string(o.data), "\n\n")
	if !ok {
		return fmt.Errorf("a commit without a message")
	}
	roles := 0
	for line := range strings.SplitSeq(header, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			o.tree = plumbing.NewHash(value)
		case "parent":
			o.parents = append(o.parents, plumbing.NewHash(value))
		case "author", "committer":
			roles++
		default:
			return fmt.Errorf("a commit with the line %q", line)
		}
	}
	if o.tree.IsZero() || roles != 2 {
		return fmt.Errorf("a commit without a tree, author or committer")
	}
	o.subject, _, _ = strings.Cut(message, "\n")
	for line := range strings.SplitSeq(message, "\n") {
		if id, ok := strings.CutPrefix(line, "Tallyman-Update: "); ok {
			o.updates = append(o.updates, id)
		}
	}
	return nil
}

func (o *object) parseTree() error {
	last := ""
	for rest := o.data; len(rest) > 0; {
		head, after, ok := bytes.Cut(rest, []byte{0})
		mode, name, named := strings.Cut(string(head), " ")
		if !ok || !named || name == "" || len(after) < len(hash{}) {
			return fmt.Errorf("a malformed tree")
		}
		e := entry{mode: mode, name: name}
		copy(e.hash[:], after)
		sorted := name
		if e.isTree() {
			sorted += "/"
		}
		if sorted <= last || mode != "40000" && mode != "100644" {
			return fmt.Errorf("a tree that is not in git's order, or has a mode that nobody gave it: %q", head)
		}
		last, rest = sorted, after[len(e.hash):]
		o.entries = append(o.entries, e)
	}
	return nil
}

// packed is the object as it stands in a pack, whole.
func (o *object) packed() []byte {
	if o.deflated == nil {
		var b bytes.Buffer
		size := len(o.data)
		first := byte(o.kind)<<4 | byte(size&15)
		for size >>= 4; size != 0; size >>= 7 {
			b.WriteByte(first | 0x80)
			first = byte(size & 0x7f)
		}
		b.WriteByte(first)
		b.Write(stored(o.data))
		o.deflated = b.Bytes()
	}
	return o.deflated
}

// stored is data as a zlib stream that compresses nothing (RFC 1950 and 1951).
func stored(data []byte) []byte {
	out := []byte{0x78, 0x01, 1, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(out[3:], uint16(len(data)))
	binary.LittleEndian.PutUint16(out[5:], ^uint16(len(data)))
	return binary.BigEndian.AppendUint32(append(out, data...), adler32.Checksum(data))
}

// files lists the blobs below a tree by path.
func (all objects) files(tree hash) map[string]hash {
	found := make(map[string]hash)
	var walk func(prefix string, tree hash)
	walk = func(prefix string, tree hash) {
		for _, e := range all[tree].entries {
			if e.isTree() {
				walk(prefix+e.name+"/", e.hash)
			} else {
				found[prefix+e.name] = e.hash
			}
		}
	}
	walk("", tree)
	return found
}

// write makes the tree that has these files.
func (all objects) write(files map[string]hash) hash {
	below := make(map[string]map[string]hash)
	var lines []string
	for path, blob := range files {
		if dir, rest, ok := strings.Cut(path, "/"); ok {
			if below[dir] == nil {
				below[dir] = make(map[string]hash)
			}
			below[dir][rest] = blob
			continue
		}
		lines = append(lines, path+"\x00100644 "+path+"\x00"+string(blob[:]))
	}
	for dir, files := range below {
		tree := all.write(files)
		lines = append(lines, dir+"/\x0040000 "+dir+"\x00"+string(tree[:]))
	}
	slices.Sort(lines) // by the name, a directory's with its slash
	var data []byte
	for _, line := range lines {
		_, entry, _ := strings.Cut(line, "\x00")
		data = append(data, entry...)
	}
	return all.put(plumbing.TreeObject, data)
}

// commit makes a commit by a person.
func (all objects) commit(tree hash, message string, at time.Time, parents ...hash) hash {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, parent := range parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	who := "Ann <ann@example.com> " + strconv.FormatInt(at.Unix(), 10) + " +0000"
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", who, who, message)
	return all.put(plumbing.CommitObject, []byte(b.String()))
}

// with returns the tree with one file changed; a nil content takes it away.
func (all objects) with(tree hash, path string, content []byte) hash {
	files := all.files(tree)
	if content == nil {
		delete(files, path)
	} else {
		files[path] = all.put(plumbing.BlobObject, content)
	}
	return all.write(files)
}

// reach collects everything that a tree reaches, itself included.
func (all objects) reach(tree hash, into map[hash]bool) {
	if into[tree] {
		return
	}
	into[tree] = true
	for _, e := range all[tree].entries {
		if e.isTree() {
			all.reach(e.hash, into)
		} else {
			into[e.hash] = true
		}
	}
}

// history lists what a commit reaches along all parents, newest first, up to
// what known has.
func (all objects) history(tip hash, known map[hash]bool) []hash {
	var order []hash
	seen := maps.Clone(known)
	if seen == nil {
		seen = make(map[hash]bool)
	}
	for queue := []hash{tip}; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		order = append(order, queue[0])
		queue = append(queue, all[queue[0]].parents...)
	}
	return order
}
