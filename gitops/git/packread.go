package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Source gives objects that a thin pack's deltas may refer to.
type Source func(Hash) (Object, bool)

// packReader decodes one pack (gitformat-pack(5)). Every size is checked against
// what is left of the budget before memory is taken for it, so a hostile server
// cannot make a small pack fill the memory.
type packReader struct {
	pack     []byte
	outside  Source
	budget   int64 // inflated bytes that may still be made
	inflater io.ReadCloser
	more     [1]byte
	objects  map[Hash]Object
	at       map[int64]Hash // where in the pack an object began
	waiting  []pendingDelta // whose bases have not come yet
}

type pendingDelta struct {
	offset int64
	base   Hash
	delta  []byte
}

// readPack returns the objects of a pack by name. Deltas against objects outside
// the pack are resolved from the source.
func readPack(pack []byte, outside Source, budget int64) (map[Hash]Object, error) {
	const header, trailer = 12, sha1.Size
	if len(pack) < header+trailer || string(pack[:4]) != "PACK" {
		return nil, errors.New("the server's answer is no pack")
	}
	if version := binary.BigEndian.Uint32(pack[4:]); version != 2 {
		return nil, fmt.Errorf("the server's pack has version %d", version)
	}
	body := pack[:len(pack)-trailer]
	if sum := sha1.Sum(body); !bytes.Equal(sum[:], pack[len(body):]) {
		return nil, errors.New("the server's pack is damaged: its checksum differs")
	}
	count := int(binary.BigEndian.Uint32(pack[8:]))
	if count > len(pack) {
		return nil, errors.New("the server's pack claims more objects than it has bytes")
	}
	r := &packReader{
		pack: body, outside: outside, budget: budget,
		objects: make(map[Hash]Object, min(count, 1<<15)), at: make(map[int64]Hash, min(count, 1<<15)),
	}
	offset := int64(header)
	for range count {
		next, err := r.object(offset)
		if err != nil {
			return nil, fmt.Errorf("at byte %d of the server's pack: %w", offset, err)
		}
		offset = next
	}
	if offset != int64(len(body)) {
		return nil, errors.New("the server's pack goes on after its last object")
	}
	return r.objects, r.resolveWaiting()
}

// object decodes the object that begins at the offset and returns where the next
// one does.
func (r *packReader) object(offset int64) (next int64, err error) {
	in := bytes.NewReader(r.pack[offset:])
	k, size, err := objectHeader(in)
	if err != nil {
		return 0, err
	}
	var base Hash
	inPack := false
	switch k {
	case KindCommit, KindTree, KindBlob, KindTag:
	case kindRefDelta:
		if _, err := io.ReadFull(in, base[:]); err != nil {
			return 0, err
		}
	case kindOfsDelta:
		distance, err := baseDistance(in)
		if err != nil {
			return 0, err
		}
		if base, inPack = r.at[offset-distance]; !inPack {
			// Servers write such a base before its deltas, and refer by name to one
			// that is not in the pack.
			return 0, errors.New("a delta's base does not come before it")
		}
	default:
		return 0, fmt.Errorf("an object of %s", k)
	}
	data, err := r.inflate(in, size)
	if err != nil {
		return 0, err
	}
	next = int64(len(r.pack)) - int64(in.Len())
	if k != kindOfsDelta && k != kindRefDelta {
		r.keep(offset, Object{k, data})
		return next, nil
	}
	if resolved, err := r.resolve(offset, base, data); err != nil {
		return 0, err
	} else if !resolved {
		r.waiting = append(r.waiting, pendingDelta{offset, base, data})
	}
	return next, nil
}

func (r *packReader) keep(offset int64, o Object) {
	h := o.Name()
	r.objects[h] = o
	r.at[offset] = h
}

// resolve applies a delta if its base is there.
func (r *packReader) resolve(offset int64, base Hash, delta []byte) (bool, error) {
	from, ok := r.objects[base]
	if !ok {
		from, ok = r.outside(base)
	}
	if !ok {
		return false, nil
	}
	data, err := applyDelta(from.Data, delta, &r.budget)
	if err != nil {
		return false, err
	}
	r.keep(offset, Object{from.Kind, data})
	return true, nil
}

// resolveWaiting resolves the deltas that came before their bases.
func (r *packReader) resolveWaiting() error {
	for len(r.waiting) > 0 {
		left := r.waiting[:0:0]
		for _, d := range r.waiting {
			resolved, err := r.resolve(d.offset, d.base, d.delta)
			if err != nil {
				return err
			}
			if !resolved {
				left = append(left, d)
			}
		}
		if len(left) == len(r.waiting) {
			return fmt.Errorf("%w: %d deltas of the server's pack have no base", ErrMissingObject, len(left))
		}
		r.waiting = left
	}
	return nil
}

// inflate reads one zlib stream of exactly size bytes.
func (r *packReader) inflate(in *bytes.Reader, size int64) ([]byte, error) {
	if err := spend(&r.budget, size); err != nil {
		return nil, err
	}
	if r.inflater == nil {
		z, err := zlib.NewReader(in)
		if err != nil {
			return nil, err
		}
		r.inflater = z
	} else if err := r.inflater.(zlib.Resetter).Reset(in, nil); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r.inflater, data); err != nil {
		return nil, err
	}
	// The end of the stream has its checksum, and nothing may follow the size promised.
	if n, err := r.inflater.Read(r.more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return nil, errors.New("an object is larger than its header says, or damaged")
	}
	return data, nil
}

func spend(budget *int64, bytes int64) error {
	if bytes < 0 || bytes > *budget {
		return errTooMuch
	}
	*budget -= bytes
	return nil
}

// objectHeader reads an object's type and inflated size.
func objectHeader(in io.ByteReader) (Kind, int64, error) {
	b, err := in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	k, size := Kind(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if shift > 53 {
			return 0, 0, errTooMuch
		}
		if b, err = in.ReadByte(); err != nil {
			return 0, 0, err
		}
		size |= int64(b&0x7f) << shift
	}
	return k, size, nil
}

// baseDistance reads how far before the delta its base begins.
func baseDistance(in io.ByteReader) (int64, error) {
	b, err := in.ReadByte()
	if err != nil {
		return 0, err
	}
	distance := int64(b & 0x7f)
	for b&0x80 != 0 {
		if distance > 1<<48 {
			return 0, errTooMuch
		}
		if b, err = in.ReadByte(); err != nil {
			return 0, err
		}
		distance = (distance+1)<<7 | int64(b&0x7f)
	}
	return distance, nil
}

var ErrMissingObject = plumbing.ErrObjectNotFound
