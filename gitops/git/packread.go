package git

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Source gives objects that a thin pack's deltas may refer to.
type Source func(Hash) (Object, bool)

// Nothing is a [Source] without objects.
func Nothing(Hash) (Object, bool) { return Object{}, false }

// ErrMissingObject says that an object is needed which the server did not send.
var ErrMissingObject = plumbing.ErrObjectNotFound

// packReader decodes one pack (gitformat-pack(5)) while it comes in. Every size is
// checked against what is left of the budget before memory is taken for it, so a
// hostile server cannot make a small pack fill the memory.
//
// Each delta is applied once, as soon as its base is there: the work is what the
// objects take, in whatever order they come.
type packReader struct {
	in       *packStream
	outside  Source
	limits   packLimits
	budget   int64 // inflated bytes that may still be kept
	dropped  int64 // inflated bytes that may still be dropped
	inflater io.ReadCloser
	more     [1]byte

	objects   map[Hash]Object
	bases     []base                   // files in objects that are not wanted, the oldest first
	held      int64                    // bytes of those
	gone      map[Hash]bool            // files that were in objects
	cut       map[Hash]bool            // files in objects that are not whole
	at        map[int64]Hash           // where in the pack a kept object began
	waitingAt map[int64]*waitingDelta  // likewise
	waiting   map[Hash][]*waitingDelta // by the base that has not come yet
}

// waitingDelta is a delta whose base has not come yet.
type waitingDelta struct {
	offset int64
	delta  []byte
	onIt   []*waitingDelta // deltas that have it as their base, by its offset
}

// readPack returns the objects of a pack by name, as far as they are kept. Deltas
// against objects outside the pack are resolved from the source. The deltas of one
// object are all of its kind, so a kind that is dropped is no base of what is kept.
func readPack(ctx context.Context, pack io.Reader, outside Source, limits packLimits) (map[Hash]Object, error) {
	r := &packReader{
		in: newPackStream(pack), outside: outside, limits: limits, budget: limits.bytes, dropped: maxDroppedBytes,
		objects: make(map[Hash]Object), gone: make(map[Hash]bool), cut: make(map[Hash]bool), at: make(map[int64]Hash),
		waitingAt: make(map[int64]*waitingDelta), waiting: make(map[Hash][]*waitingDelta),
	}
	var header [12]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		return nil, fmt.Errorf("reading the server's pack: %w", err)
	}
	if string(header[:4]) != "PACK" {
		return nil, errors.New("the server's answer is no pack")
	}
	if version := binary.BigEndian.Uint32(header[4:]); version != 2 {
		return nil, fmt.Errorf("the server's pack has version %d", version)
	}
	for range binary.BigEndian.Uint32(header[8:]) {
		offset := r.in.offset()
		if err := r.object(ctx, offset); err != nil {
			return nil, fmt.Errorf("at byte %d of the server's pack: %w", offset, err)
		}
	}
	if err := r.in.end(); err != nil {
		return nil, err
	}
	if n := len(r.waitingAt); n > 0 && limits.all() {
		return nil, fmt.Errorf("%w: %d deltas of the server's pack have no base", ErrMissingObject, n)
	}
	r.dropBases(0)
	return r.objects, nil
}

// object decodes the object that begins at the offset.
func (r *packReader) object(ctx context.Context, offset int64) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	kind, size, err := objectHeader(r.in)
	if err != nil {
		return noEOF(err)
	}
	switch kind {
	case KindCommit, KindTree, KindBlob, KindTag:
		if r.limits.drops(kind) {
			return r.skip(ctx, size)
		}
		if r.limits.cuts(kind, size) {
			return r.cutFile(ctx, size)
		}
		if r.leavesOut(kind, size) {
			return r.skip(ctx, size)
		}
		data, err := r.inflate(size)
		if err != nil {
			return err
		}
		return r.keep(ctx, offset, Object{kind, data}, nil)
	case kindRefDelta:
		return r.refDelta(ctx, offset, size)
	case kindOfsDelta:
		return r.ofsDelta(ctx, offset, size)
	}
	return fmt.Errorf("an object of %s", kind)
}

// refDelta decodes a delta that has its base by name. One whose base never comes,
// in a pack of which not all is kept, is a delta of something that was dropped.
func (r *packReader) refDelta(ctx context.Context, offset, size int64) error {
	var base Hash
	if _, err := io.ReadFull(r.in, base[:]); err != nil {
		return noEOF(err)
	}
	from, here := r.objects[base]
	if !here {
		from, here = r.outside(base)
	}
	if r.gone[base] || here && (r.limits.drops(from.Kind) || r.cut[base] || r.leavesOut(from.Kind, size)) {
		return r.skip(ctx, size)
	}
	delta, err := r.inflate(size)
	if err != nil {
		return err
	}
	d := &waitingDelta{offset: offset, delta: delta}
	if here {
		return r.resolve(ctx, from, d)
	}
	r.waitingAt[offset] = d
	r.waiting[base] = append(r.waiting[base], d)
	return nil
}

// ofsDelta decodes a delta that has its base by how far before it that began.
func (r *packReader) ofsDelta(ctx context.Context, offset, size int64) error {
	distance, err := baseDistance(r.in)
	if err != nil {
		return noEOF(err)
	}
	base, kept := r.at[offset-distance]
	on := r.waitingAt[offset-distance]
	if !kept && on == nil {
		if r.limits.all() {
			return errors.New("a delta's base does not come before it")
		}
		return r.skip(ctx, size)
	}
	from := r.objects[base] // which making room may drop
	if kept && r.leavesOut(from.Kind, size) {
		return r.skip(ctx, size)
	}
	delta, err := r.inflate(size)
	if err != nil {
		return err
	}
	d := &waitingDelta{offset: offset, delta: delta}
	if kept {
		return r.resolve(ctx, from, d)
	}
	r.waitingAt[offset] = d
	on.onIt = append(on.onIt, d)
	return nil
}

// resolve applies a delta to its base. A file that it would make too large is left
// out.
func (r *packReader) resolve(ctx context.Context, base Object, d *waitingDelta) error {
	if size := deltaTarget(d.delta); r.limits.cuts(base.Kind, size) || r.leavesOut(base.Kind, size) {
		return nil
	}
	data, err := applyDelta(base.Data, d.delta, &r.budget)
	if err != nil {
		return err
	}
	return r.keep(ctx, d.offset, Object{base.Kind, data}, d.onIt)
}

// keep takes an object in, and with it every delta that waited for it, for what
// that makes, and so on.
func (r *packReader) keep(ctx context.Context, offset int64, o Object, onIt []*waitingDelta) error {
	type made struct {
		offset int64
		object Object
		onIt   []*waitingDelta
	}
	for ready := []made{{offset, o, onIt}}; len(ready) > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		name := m.object.Name()
		if err := r.add(m.offset, name, m.object); err != nil {
			return err
		}
		waited := append(m.onIt, r.waiting[name]...)
		delete(r.waiting, name)
		for _, d := range waited {
			delete(r.waitingAt, d.offset)
			if size := deltaTarget(d.delta); r.limits.cuts(m.object.Kind, size) || r.leavesOut(m.object.Kind, size) {
				continue
			}
			data, err := applyDelta(m.object.Data, d.delta, &r.budget)
			if err != nil {
				return err
			}
			ready = append(ready, made{d.offset, Object{m.object.Kind, data}, d.onIt})
		}
	}
	return nil
}

// inflate reads one zlib stream of exactly size bytes. Memory is taken as they
// come, not as the header promises.
func (r *packReader) inflate(size int64) ([]byte, error) {
	const atOnce = 1 << 20
	r.makeRoom(size)
	if err := spend(&r.budget, size); err != nil {
		return nil, err
	}
	if err := r.beginStream(); err != nil {
		return nil, err
	}
	data := make([]byte, min(size, atOnce))
	for read := 0; ; {
		if _, err := io.ReadFull(r.inflater, data[read:]); err != nil {
			return nil, noEOF(err)
		}
		if read = len(data); int64(read) == size {
			return data, r.endStream()
		}
		data = append(data, make([]byte, min(size-int64(read), int64(read)))...)
	}
}
