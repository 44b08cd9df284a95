package git

import (
	"errors"
	"io"
)

// packLimits say what is kept of a pack.
type packLimits struct {
	keeps    func(Kind) bool             // nil keeps every kind
	bytes    int64                       // inflated
	file     int64                       // bytes of a file; of a larger one there is one more; 0 is any size
	files    func(Hash) bool             // the files that are kept; nil keeps all
	oversize func(file Hash, size int64) // told of files that are larger; may be nil
}

// all reports whether everything is kept, so that every delta must have a base.
func (l packLimits) all() bool { return l.keeps == nil && l.file == 0 && l.files == nil }

func (l packLimits) drops(k Kind) bool { return l.keeps != nil && !l.keeps(k) }

func (l packLimits) cuts(k Kind, size int64) bool {
	return k == KindBlob && l.file > 0 && size > l.file
}

// noEOF makes an early end of the pack an error that is not taken for its end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
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
