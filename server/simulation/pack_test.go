package simulation

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

var errThin = errors.New("unresolved deltas left after unpacking")

// unpack reads a pack that was pushed. Deltas may stand on objects in the pack,
// and where thin packs are taken on those that the repository has. What it
// returns is not in the repository yet.
func (all objects) unpack(pack []byte, thin bool) (objects, error) {
	if body := pack[:max(0, len(pack)-sha1.Size)]; !bytes.Equal(pack[len(body):], checksum(body)) {
		return nil, errors.New("pack is corrupted (SHA1 mismatch)")
	}
	s := packfile.NewScanner(bytes.NewReader(pack))
	version, count, err := s.Header()
	if err != nil || version != 2 {
		return nil, fmt.Errorf("no pack: %v", err)
	}
	fresh := make(objects)
	for range count {
		h, err := s.NextObjectHeader()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if _, _, err := s.NextObject(&b); err != nil {
			return nil, err
		}
		o := &object{kind: h.Type, data: b.Bytes()}
		if h.Type == plumbing.REFDeltaObject {
			base, ok := fresh[h.Reference]
			if !ok && thin {
				base, ok = all[h.Reference]
			}
			if !ok {
				return nil, errThin
			}
			o.kind = base.kind
			if o.data, err = packfile.PatchDelta(base.data, b.Bytes()); err != nil {
				return nil, err
			}
		}
		if err := o.parse(); err != nil {
			return nil, err
		}
		fresh[plumbing.ComputeHash(o.kind, o.data)] = o
	}
	if _, err := s.Checksum(); err != nil {
		return nil, err
	}
	return fresh, nil
}

// packOf makes a pack of whole objects.
func (all objects) packOf(names []hash) []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, []uint32{2, uint32(len(names))}) // a buffer takes everything
	for _, name := range names {
		b.Write(all[name].packed())
	}
	b.Write(checksum(b.Bytes()))
	return b.Bytes()
}

func checksum(pack []byte) []byte {
	sum := sha1.Sum(pack)
	return sum[:]
}

// connected fails unless everything that the commit reaches is in fresh or in
// the repository. What the repository has is connected already.
func (all objects) connected(tip hash, fresh objects) error {
	var need func(name hash, kind plumbing.ObjectType) error
	need = func(name hash, kind plumbing.ObjectType) error {
		if o, ok := all[name]; ok {
			if o.kind != kind {
				return fmt.Errorf("%s is a %s and should be a %s", name, o.kind, kind)
			}
			return nil
		}
		o, ok := fresh[name]
		if !ok || o.kind != kind {
			return fmt.Errorf("missing %s %s", kind, name)
		}
		if kind == plumbing.CommitObject {
			if err := need(o.tree, plumbing.TreeObject); err != nil {
				return err
			}
		}
		for _, parent := range o.parents {
			if err := need(parent, plumbing.CommitObject); err != nil {
				return err
			}
		}
		for _, e := range o.entries {
			below := plumbing.BlobObject
			if e.isTree() {
				below = plumbing.TreeObject
			}
			if err := need(e.hash, below); err != nil {
				return err
			}
		}
		return nil
	}
	return need(tip, plumbing.CommitObject)
}
