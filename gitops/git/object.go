package git

import (
	"crypto/sha1"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash names a git object. Repositories in git's SHA-256 format are refused at
// the handshake.
type Hash = plumbing.Hash

// Kind is an object's type as packs number it (gitformat-pack(5)).
type Kind byte

const (
	KindCommit   Kind = 1
	KindTree     Kind = 2
	KindBlob     Kind = 3
	KindTag      Kind = 4
	kindOfsDelta Kind = 6
	kindRefDelta Kind = 7
)

func (k Kind) String() string {
	switch k {
	case KindCommit:
		return "commit"
	case KindTree:
		return "tree"
	case KindBlob:
		return "blob"
	case KindTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

// OnlyCommits is what a [FetchRequest] keeps when it is about history alone.
func OnlyCommits(k Kind) bool { return k == KindCommit }

// WithoutBlobs is what a [FetchRequest] keeps when it is not about what files say.
func WithoutBlobs(k Kind) bool { return k != KindBlob }

// Object is a git object without its header. Its data is never changed once the
// object has a name, so it may be shared.
type Object struct {
	Kind Kind
	Data []byte
}

// Name computes what git calls the object.
func (o Object) Name() Hash {
	digest := newDigest(o.Kind, int64(len(o.Data)))
	digest.Write(o.Data)
	var h Hash
	digest.Sum(h[:0])
	return h
}

// newDigest begins the computation of the name of an object of a size.
func newDigest(k Kind, size int64) hash.Hash {
	header := make([]byte, 0, 32)
	header = append(header, k.String()...)
	header = append(header, ' ')
	header = strconv.AppendInt(header, size, 10)
	header = append(header, 0)
	digest := sha1.New()
	digest.Write(header)
	return digest
}

// ParseHash reads a hash in hexadecimal. Unlike plumbing.NewHash it refuses
// anything else.
func ParseHash(text string) (Hash, bool) {
	var h Hash
	if len(text) != hex.EncodedLen(len(h)) {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err == nil
}
