package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
)

// packStream is a pack that is read byte by byte, so that the inflater takes
// nothing beyond an object's end. It knows how far it was read, and the checksum
// up to there.
type packStream struct {
	from   io.Reader
	buffer []byte // what has come and is not read yet begins at next
	next   int
	summed int   // everything in the buffer before is in sum
	before int64 // bytes before the buffer
	sum    hash.Hash
}

func newPackStream(from io.Reader) *packStream {
	return &packStream{from: from, buffer: make([]byte, 0, 32<<10), sum: sha1.New()}
}

func (s *packStream) offset() int64 { return s.before + int64(s.next) }

// fill gets more when all has been read.
func (s *packStream) fill() error {
	if s.next < len(s.buffer) {
		return nil
	}
	s.addUp()
	s.before += int64(len(s.buffer))
	s.next, s.summed = 0, 0
	for {
		n, err := s.from.Read(s.buffer[:cap(s.buffer)])
		s.buffer = s.buffer[:n]
		if n > 0 {
			return nil // an error comes again
		}
		if err != nil {
			return err
		}
	}
}

func (s *packStream) addUp() {
	s.sum.Write(s.buffer[s.summed:s.next])
	s.summed = s.next
}

func (s *packStream) Read(p []byte) (int, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p, s.buffer[s.next:])
	s.next += n
	return n, nil
}

func (s *packStream) ReadByte() (byte, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	b := s.buffer[s.next]
	s.next++
	return b, nil
}

// end reads the checksum, behind which nothing may follow.
func (s *packStream) end() error {
	s.addUp()
	sum := s.sum.Sum(nil)
	var trailer [sha1.Size]byte
	if _, err := io.ReadFull(s, trailer[:]); err != nil {
		return fmt.Errorf("reading the end of the server's pack: %w", noEOF(err))
	}
	if !bytes.Equal(sum, trailer[:]) {
		return errors.New("the server's pack is damaged: its checksum differs")
	}
	switch _, err := s.ReadByte(); {
	case err == nil:
		return errors.New("the server's pack goes on after its last object")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading the end of the server's pack: %w", err)
	}
	return nil
}

func (r *packReader) beginStream() (err error) {
	if r.inflater == nil {
		r.inflater, err = zlib.NewReader(r.in)
	} else {
		err = r.inflater.(zlib.Resetter).Reset(r.in, nil)
	}
	return noEOF(err)
}

// endStream reads the end of the stream, which has its checksum. Nothing may follow
// the size promised.
func (r *packReader) endStream() error {
	if n, err := r.inflater.Read(r.more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return errors.New("an object is larger than its header says, or damaged")
	}
	return nil
}
