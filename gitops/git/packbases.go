package git

// What an object takes beside its bytes while a pack is read: its places in the maps.
const objectCost = 200

// maxBaseBytes is how much is held of files that nobody wants, because files that come
// later may be deltas of them. A server sends a delta soon after its base.
const maxBaseBytes = 16 << 20

// base is a file that nobody wants.
type base struct {
	name   Hash
	offset int64
	size   int64
}

// add takes an object in. A file that nobody wants stays for a while.
func (r *packReader) add(offset int64, name Hash, o Object) error {
	if err := spend(&r.budget, objectCost); err != nil {
		return err
	}
	if _, known := r.objects[name]; !known && o.Kind == KindBlob && !r.wants(name) {
		size := int64(len(o.Data))
		if err := spend(&r.dropped, size); err != nil {
			return err
		}
		r.bases = append(r.bases, base{name, offset, size})
		r.held += size + objectCost
	}
	r.objects[name] = o
	r.at[offset] = name
	r.dropBases(maxBaseBytes)
	return nil
}

// leavesOut reports whether a file is left out because there is no room for it: the
// files that fit come, and the caller asks for the others again. A part of the room is
// kept for commits and trees, without which nothing can be read.
func (r *packReader) leavesOut(k Kind, size int64) bool {
	if k != KindBlob || r.limits.file == 0 {
		return false
	}
	needed := size + objectCost + r.limits.bytes/4
	r.makeRoom(needed)
	return needed > r.budget
}

// makeRoom drops files that nobody wants as far as the room is needed.
func (r *packReader) makeRoom(size int64) {
	if short := size - r.budget; short > 0 {
		r.dropBases(max(0, r.held-short))
	}
}

// wants reports whether a file is kept.
func (r *packReader) wants(file Hash) bool { return r.limits.files == nil || r.limits.files(file) }

// dropBases drops the oldest of the files that nobody wants until no more than so many
// bytes are left of them.
func (r *packReader) dropBases(most int64) {
	for len(r.bases) > 0 && r.held > most {
		oldest := r.bases[0]
		r.bases = r.bases[1:]
		delete(r.objects, oldest.name)
		delete(r.at, oldest.offset)
		r.gone[oldest.name] = true
		r.held -= oldest.size + objectCost
		r.budget += oldest.size + objectCost
	}
}
