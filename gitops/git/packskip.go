package git

import (
	"context"
	"errors"
	"io"
)

// cutFile takes in the beginning of a file that is too large, or nothing of it, under the
// name of the whole.
func (r *packReader) cutFile(ctx context.Context, size int64) error {
	kept := r.limits.file + 1
	if r.limits.oversize != nil { // who is told the size needs no beginning to see it
		kept = 0
	}
	r.makeRoom(kept)
	if err := errors.Join(spend(&r.budget, kept), spend(&r.dropped, size-kept)); err != nil {
		return err
	}
	if err := r.beginStream(); err != nil {
		return err
	}
	digest := newDigest(KindBlob, size)
	data := make([]byte, kept)
	if _, err := io.ReadFull(io.TeeReader(r.inflater, digest), data); err != nil {
		return noEOF(err)
	}
	if err := r.pass(ctx, digest, size-kept); err != nil {
		return err
	}
	var name Hash
	digest.Sum(name[:0])
	if r.limits.oversize != nil {
		r.limits.oversize(name, size)
	}
	if r.wants(name) {
		r.objects[name], r.cut[name] = Object{KindBlob, data}, true
	} else {
		r.budget += kept
		r.gone[name] = true
	}
	return r.endStream()
}

// skip reads past one zlib stream of exactly size bytes.
func (r *packReader) skip(ctx context.Context, size int64) error {
	if err := spend(&r.dropped, size); err != nil {
		return err
	}
	if err := r.beginStream(); err != nil {
		return err
	}
	if err := r.pass(ctx, io.Discard, size); err != nil {
		return err
	}
	return r.endStream()
}

// pass inflates so many bytes into a writer. A few bytes of a pack may be gigabytes, so
// it looks at the context on the way.
func (r *packReader) pass(ctx context.Context, to io.Writer, size int64) error {
	const atOnce = 4 << 20
	for size > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.CopyN(to, r.inflater, min(size, atOnce))
		if err != nil {
			return noEOF(err)
		}
		size -= n
	}
	return nil
}
