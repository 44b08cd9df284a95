package manifest

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// hash names a git object. Repositories in git's SHA-256 format are refused at
// the handshake.
type hash = plumbing.Hash

// kind is an object's type as packs number it (gitformat-pack(5)).
type kind byte

const (
	kindCommit   kind = 1
	kindTree     kind = 2
	kindBlob     kind = 3
	kindTag      kind = 4
	kindOfsDelta kind = 6
	kindRefDelta kind = 7
)

func (k kind) String() string {
	switch k {
	case kindCommit:
		return "commit"
	case kindTree:
		return "tree"
	case kindBlob:
		return "blob"
	case kindTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

// object is a git object without its header. Its data is never changed once the
// object has a name, so it may be shared.
type object struct {
	kind kind
	data []byte
}

// name computes what git calls the object.
func (o object) name() hash {
	header := make([]byte, 0, 32)
	header = append(header, o.kind.String()...)
	header = append(header, ' ')
	header = strconv.AppendInt(header, int64(len(o.data)), 10)
	header = append(header, 0)
	digest := sha1.New()
	digest.Write(header)
	digest.Write(o.data)
	var h hash
	digest.Sum(h[:0])
	return h
}

// parseHash reads a hash in hexadecimal. Unlike plumbing.NewHash it refuses what
// is none.
func parseHash(text string) (hash, bool) {
	var h hash
	if len(text) != hex.EncodedLen(len(h)) {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err == nil
}
