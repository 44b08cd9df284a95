package git

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errMalformedDelta = errors.New("a delta is malformed")

// maxCopy is the most bytes that one copy instruction can take; git reads a
// length of 0 as this.
const maxCopy = 0x10000

// applyDelta returns what the delta makes of its base (gitformat-pack(5),
// "Deltified representation"). The result is taken from the budget.
func applyDelta(base, delta []byte, budget *int64) ([]byte, error) {
	from, n := binary.Uvarint(delta)
	if n <= 0 || from != uint64(len(base)) {
		return nil, errMalformedDelta
	}
	delta = delta[n:]
	to, n := binary.Uvarint(delta)
	if n <= 0 || to > 1<<48 {
		return nil, errMalformedDelta
	}
	delta = delta[n:]
	if err := spend(budget, int64(to)); err != nil {
		return nil, err
	}
	out := make([]byte, 0, to)
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		var piece []byte
		switch {
		case op&0x80 != 0:
			var offset, size uint32
			var ok bool
			if offset, size, delta, ok = copyArguments(op, delta); !ok || uint64(offset)+uint64(size) > uint64(len(base)) {
				return nil, errMalformedDelta
			}
			piece = base[offset:][:size]
		case op != 0 && int(op) <= len(delta):
			piece, delta = delta[:op], delta[op:]
		default:
			return nil, errMalformedDelta
		}
		if uint64(len(out)+len(piece)) > to {
			return nil, errMalformedDelta
		}
		out = append(out, piece...)
	}
	if uint64(len(out)) != to {
		return nil, errMalformedDelta
	}
	return out, nil
}

// deltaTarget is how large a delta says that what it makes is; 0 when it is
// malformed.
func deltaTarget(delta []byte) int64 {
	_, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0
	}
	to, n := binary.Uvarint(delta[n:])
	if n <= 0 || to > 1<<48 {
		return 0
	}
	return int64(to)
}

// copyArguments reads the offset and size bytes that the instruction's bits
// say are there.
func copyArguments(op byte, delta []byte) (offset, size uint32, rest []byte, ok bool) {
	for bit := range 7 {
		if op&(1<<bit) == 0 {
			continue
		}
		if len(delta) == 0 {
			return 0, 0, nil, false
		}
		if bit < 4 {
			offset |= uint32(delta[0]) << (8 * bit)
		} else {
			size |= uint32(delta[0]) << (8 * (bit - 4))
		}
		delta = delta[1:]
	}
	if size == 0 {
		size = maxCopy
	}
	return offset, size, delta, true
}

// makeDelta appends to out a delta that turns base into target.
//
// It is made for what this package changes: scalars in a file, hashes in a tree.
// Contents of one length are compared byte by byte, so several changed entries of a
// tree cost their hashes only. Others are compared up to where they differ, and
// again from where they go on alike nearby; where they do not, the rest is by what
// they have in common at the end.
func makeDelta(out, base, target []byte) []byte {
	out = binary.AppendUvarint(out, uint64(len(base)))
	out = binary.AppendUvarint(out, uint64(len(target)))
	if len(base) == len(target) {
		return appendRuns(out, base, target)
	}
	from, at, inserted := 0, 0, 0 // in base, in target; all of target up to inserted is written
	for at < len(target) {
		if same := commonPrefix(base[from:], target[at:]); same >= worthCopying {
			out = appendInsert(out, target[inserted:at])
			out = appendCopy(out, from, same)
			from, at, inserted = from+same, at+same, at+same
		}
		left, added, found := goOn(base[from:], target[at:])
		if !found {
			break
		}
		from, at = from+left, at+added
	}
	suffix := commonSuffix(base[from:], target[inserted:])
	out = appendInsert(out, target[inserted:len(target)-suffix])
	return appendCopy(out, len(base)-suffix, suffix)
}

// What makes two contents go on alike: so many equal bytes, so near to where they
// began to differ.
const (
	alike  = 32
	nearby = 512
)

// goOn finds where two contents that differ from their first byte on go on alike: how
// many bytes of the base are left out, and how many of the target are added.
func goOn(base, target []byte) (left, added int, found bool) {
	window := base[:min(len(base), nearby+alike)]
	for added := range min(len(target)-alike, nearby) {
		if left := bytes.Index(window, target[added:added+alike]); left >= 0 {
			return left, added, true
		}
	}
	return 0, 0, false
}

// atOnce is how many bytes of long equal runs are compared at once, which is some
// times as fast as word by word.
const atOnce = 1024

func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := n
	for ; i >= atOnce && bytes.Equal(a[i-atOnce:i], b[i-atOnce:i]); i -= atOnce {
	}
	for ; i >= 8; i -= 8 {
		if binary.LittleEndian.Uint64(a[i-8:]) != binary.LittleEndian.Uint64(b[i-8:]) {
			break
		}
	}
	for i > 0 && a[i-1] == b[i-1] {
		i--
	}
	return n - i
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+atOnce <= n && bytes.Equal(a[i:i+atOnce], b[i:i+atOnce]); i += atOnce {
	}
	for ; i+8 <= n; i += 8 {
		if binary.LittleEndian.Uint64(a[i:]) != binary.LittleEndian.Uint64(b[i:]) {
			break
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// worthCopying is the length from which a run of equal bytes is cheaper as a
// copy between two inserts: a copy takes up to 7 bytes and a new insert one.
const worthCopying = 9

// appendRuns writes the delta of two contents of the same length.
func appendRuns(out, base, target []byte) []byte {
	inserted := 0 // everything before is written
	for at := 0; at < len(target); {
		same := commonPrefix(base[at:], target[at:])
		if same >= worthCopying {
			out = appendInsert(out, target[inserted:at])
			out = appendCopy(out, at, same)
			inserted = at + same
		}
		at += same
		for at < len(target) && base[at] != target[at] {
			at++
		}
	}
	return appendInsert(out, target[inserted:])
}

func appendInsert(out, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), 0x7f)
		out = append(out, byte(n))
		out = append(out, data[:n]...)
		data = data[n:]
	}
	return out
}

func appendCopy(out []byte, offset, size int) []byte {
	for size > 0 {
		n := min(size, maxCopy)
		at := len(out)
		op := byte(0x80)
		out = append(out, 0)
		for bit := range 4 {
			if b := byte(offset >> (8 * bit)); b != 0 {
				op |= 1 << bit
				out = append(out, b)
			}
		}
		for bit := range 2 {
			if b := byte(n >> (8 * bit)); b != 0 { // maxCopy itself has no byte to write: it is read as 0
				op |= 0x10 << bit
				out = append(out, b)
			}
		}
		out[at] = op
		offset += n
		size -= n
	}
	return out
}
