package manifest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"io"
)

// maxChain is how many deltas may stand on one another. Receivers accept more,
// but each reader of the object pays for the chain, and git itself stops at 50
// (pack.depth in git-config(1)).
const maxChain = 50

// draft collects the objects of a push in the order they are made, each with
// the object it differs little from.
type draft struct {
	base    *snapshot
	objects map[hash]*drafted
	order   []*drafted
	size    int // bytes of them all
}

// drafted is one new object.
type drafted struct {
	object
	name   hash
	like   hash // the object it was made from; zero when there is none
	origin hash // the object that the server has, from which this chain of deltas began
	chain  int  // how many deltas lie between this and origin
}

func newDraft(base *snapshot) *draft {
	return &draft{base: base, objects: make(map[hash]*drafted)}
}

// object finds an object among the new ones and those of the snapshot.
func (d *draft) object(name hash) (object, bool) {
	if o, ok := d.objects[name]; ok {
		return o.object, true
	}
	return d.base.object(name)
}

// made finds an object among the new ones only.
func (d *draft) made(name hash) (object, bool) {
	if o, ok := d.objects[name]; ok {
		return o.object, true
	}
	return object{}, false
}

// put adds an object unless the server has it, and returns its name.
func (d *draft) put(o object, like hash) hash {
	name := o.name()
	if _, ok := d.object(name); ok {
		return name
	}
	n := &drafted{object: o, name: name, like: like, origin: like}
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
	d.order = append(d.order, n)
	d.size += len(o.data)
	return name
}

// packWriter writes packs. Its buffers are kept from one push to the next; it
// belongs to one goroutine.
type packWriter struct {
	out      bytes.Buffer
	deflater *zlib.Writer
	delta    []byte
}

// write returns the draft as a pack. A thin pack has deltas against objects that
// only the server has; without thin those are written whole. The bytes are valid
// until the next call.
func (w *packWriter) write(d *draft, thin bool) ([]byte, error) {
	w.out.Reset()
	w.out.WriteString("PACK")
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], 2)
	w.out.Write(number[:])
	binary.BigEndian.PutUint32(number[:], uint32(len(d.order)))
	w.out.Write(number[:])
	for _, o := range d.order {
		if err := w.entry(d, o, thin); err != nil {
			return nil, err
		}
	}
	sum := sha1.Sum(w.out.Bytes())
	w.out.Write(sum[:])
	return w.out.Bytes(), nil
}

func (w *packWriter) entry(d *draft, o *drafted, thin bool) error {
	base, ok := d.deltaBase(o, thin)
	if ok {
		w.delta = makeDelta(w.delta[:0], base.data, o.data)
	}
	if !ok || len(w.delta) >= len(o.data) {
		w.header(o.kind, len(o.data))
		return w.deflate(o.data)
	}
	w.header(kindRefDelta, len(w.delta))
	w.out.Write(o.like[:])
	return w.deflate(w.delta)
}

// deltaBase finds the object that o is written as a delta of, if there is one
// that the receiver of the pack will have.
func (d *draft) deltaBase(o *drafted, thin bool) (object, bool) {
	if o.like.IsZero() {
		return object{}, false
	}
	if made, ok := d.objects[o.like]; ok {
		return made.object, true
	}
	if !thin {
		return object{}, false
	}
	return d.base.object(o.like)
}

// header writes an object's type and inflated size.
func (w *packWriter) header(k kind, size int) {
	b := byte(k)<<4 | byte(size&15)
	for size >>= 4; size != 0; size >>= 7 {
		w.out.WriteByte(b | 0x80)
		b = byte(size & 0x7f)
	}
	w.out.WriteByte(b)
}

// deflate writes data as one zlib stream.
func (w *packWriter) deflate(data []byte) error {
	if w.deflater == nil {
		z, err := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed)
		if err != nil {
			return err
		}
		w.deflater = z
	}
	w.deflater.Reset(&w.out)
	if _, err := w.deflater.Write(data); err != nil {
		return err
	}
	return w.deflater.Close()
}
