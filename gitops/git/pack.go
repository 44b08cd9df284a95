package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"io"
)

// PackWriter writes packs. Its buffers are kept from one push to the next; it
// belongs to one goroutine.
type PackWriter struct {
	out      bytes.Buffer
	deflater *zlib.Writer
	delta    []byte
}

// Write returns the draft as a pack. A thin pack has deltas against objects that
// only the server has; without thin those are written whole. The bytes are valid
// until the next call.
func (w *PackWriter) Write(d *Draft, thin bool) ([]byte, error) {
	w.out.Reset()
	w.out.WriteString("PACK")
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], 2)
	w.out.Write(number[:])
	binary.BigEndian.PutUint32(number[:], uint32(len(d.Order)))
	w.out.Write(number[:])
	for _, o := range d.Order {
		if err := w.entry(d, o, thin); err != nil {
			return nil, err
		}
	}
	sum := sha1.Sum(w.out.Bytes())
	w.out.Write(sum[:])
	return w.out.Bytes(), nil
}

func (w *PackWriter) entry(d *Draft, o *Drafted, thin bool) error {
	base, ok := d.deltaBase(o, thin)
	if ok {
		w.delta = makeDelta(w.delta[:0], base.Data, o.Data)
	}
	if !ok || len(w.delta) >= len(o.Data) {
		w.header(o.Kind, len(o.Data))
		return w.deflate(o.Data)
	}
	w.header(kindRefDelta, len(w.delta))
	w.out.Write(o.like[:])
	return w.deflate(w.delta)
}

// deltaBase finds the object that o is written as a delta of, if there is one
// that the receiver of the pack will have.
func (d *Draft) deltaBase(o *Drafted, thin bool) (Object, bool) {
	if o.like.IsZero() {
		return Object{}, false
	}
	if made, ok := d.objects[o.like]; ok {
		return made.Object, true
	}
	if !thin {
		return Object{}, false
	}
	return d.base.Object(o.like)
}

// header writes an object's type and inflated size.
func (w *PackWriter) header(k Kind, size int) {
	b := byte(k)<<4 | byte(size&15)
	for size >>= 4; size != 0; size >>= 7 {
		w.out.WriteByte(b | 0x80)
		b = byte(size & 0x7f)
	}
	w.out.WriteByte(b)
}

// deflate writes data as one zlib stream.
func (w *PackWriter) deflate(data []byte) error {
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
