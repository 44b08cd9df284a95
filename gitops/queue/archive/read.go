package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"reflect"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Reader reads a backup.
type Reader struct {
	Info Info

	line []byte // the first
	in   *bufio.Reader
}

// NewReader reads the first line. The error's code is Invalid for what is no backup, or
// one of a newer program.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReader(r)
	line, err := in.ReadSlice('\n')
	if err != nil || len(line) > longestLine {
		if bytes.HasPrefix(line, []byte(magic)) {
			return nil, errCutOff(err)
		}
		return nil, errNotOurs()
	}
	line = bytes.Clone(line)
	info, err := parseLine(string(line[:len(line)-1]))
	if err != nil {
		return nil, err
	}
	return &Reader{Info: info, line: line, in: in}, nil
}

// Entries yields the entries, and ends after an error. It can be used once.
func (r *Reader) Entries() iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		var given queue.Counts
		err := r.read(func(e queue.Entry) bool {
			given.Add(e)
			return yield(e, nil)
		}, &given)
		if err != nil {
			yield(queue.Entry{}, err)
		}
	}
}

// read gives all entries, until give wants no more, and holds the end against what
// was given.
func (r *Reader) read(give func(queue.Entry) bool, given *queue.Counts) error {
	plain, err := gzip.NewReader(r.in)
	if err != nil {
		return unreadable(err)
	}
	plain.Multistream(false)
	summed := &summed{r: bufio.NewReader(plain), sum: sha256.New()}
	summed.sum.Write(r.line)
	decoder := gob.NewDecoder(summed)
	var left garbage
	for {
		var next item
		before := [sha256.Size]byte(summed.sum.Sum(nil))
		summed.left = largestItem
		if err := decoder.Decode(&next); err != nil {
			return unreadable(err)
		}
		switch {
		case next.End != nil && next.Entry == nil:
			return r.checkEnd(*next.End, before, *given, summed.r)
		case next.Entry == nil || next.End != nil:
			return errDamaged(errors.New("an item that is neither an entry nor the end"))
		case !sound(*next.Entry):
			return errDamaged(errors.New("an entry that no store holds"))
		case !give(*next.Entry):
			return nil
		}
		left.made(largestItem - summed.left)
	}
}

// sound reports whether the entry is one thing, with no more updates than a store can
// give sequences to.
func sound(e queue.Entry) bool {
	things := 0
	for _, thing := range reflect.ValueOf(e).Fields() {
		if !thing.IsNil() {
			things++
		}
	}
	return things == 1 && (e.Delivery == nil || len(e.Delivery.Updates) <= queue.MaxUpdates)
}

// checkEnd fails unless the end is the one of what was read, and nothing follows.
func (r *Reader) checkEnd(e end, sum [sha256.Size]byte, given queue.Counts, plain io.Reader) error {
	if e.Sum != sum || e.Counts != given {
		return errDamaged(fmt.Errorf("its end says %+v and %x, and it has %+v and %x", e.Counts, e.Sum, given, sum))
	}
	// Reading on to the end has gzip compare its own sum.
	if n, err := io.Copy(io.Discard, plain); err != nil {
		return unreadable(err)
	} else if n > 0 {
		return errDamaged(fmt.Errorf("%d bytes behind its end", n))
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errDamaged(errors.Join(errors.New("something follows the stream"), err))
	}
	return nil
}

// unreadable says why the stream cannot be read on.
func unreadable(err error) error {
	if gitops.CodeOf(err) == gitops.Invalid {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff(err)
	}
	return errDamaged(err)
}

// summed sums what is read through it. The decoder of gob reads no further than the
// item that it decodes from what has a ReadByte.
type summed struct {
	r    *bufio.Reader
	sum  hash.Hash
	left int // how many bytes the item may still have
}

func (s *summed) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errTooLarge()
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.sum.Write(p[:n])
	s.left -= n
	return n, err
}

func (s *summed) ReadByte() (byte, error) {
	if s.left == 0 {
		return 0, errTooLarge()
	}
	b, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
		s.left--
	}
	return b, err
}
