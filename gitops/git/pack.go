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
	binary.BigEndian.PutUint32(number[:], uint32(len(d.objects)))
	w.out.Write(number[:])
	for _, o := range d.objects {
		if err := w.entry(o, thin); err != nil {
			return nil, err
		}
	}
	sum := sha1.Sum(w.out.Bytes())
	w.out.Write(sum[:])
	return w.out.Bytes(), nil
}

func (w *PackWriter) entry(o drafted, thin bool) error {
	if o.delta == nil || o.whole != nil && !thin {
		w.header(o.kind, len(o.whole))
		return w.deflate(o.whole)
	}
	w.header(kindRefDelta, len(o.delta))
	w.out.Write(o.base[:])
	return w.deflate(o.delta)
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
