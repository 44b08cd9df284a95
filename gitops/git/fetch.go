package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// FetchRequest says what a fetch brings.
type FetchRequest struct {
	Wants        []Hash          // a commit, or files
	Have         Hash            // a commit that we hold; zero for none
	Shallow      []Hash          // where what we hold of its history ends: we have not what was before these
	Depth        int             // in commits, counted from the one that is wanted; 0 with files
	Filter       Filter          // what of the commits does not come; the server must offer filters
	NoThin       bool            // deltas may refer to nothing outside the answer
	Keep         func(Kind) bool // which of the objects that come are kept; nil keeps all
	MaxBytes     int64           // inflated bytes that are kept at most; 0 is as many as ever
	MaxFileBytes int64           // of a file that is kept whole; see [Remote]. 0 is any size
	// Files says which of the files that come are kept. Others take memory only for a
	// while, as what later ones may be deltas of. Nil keeps all.
	Files func(file Hash) bool
	// Oversize is told of each file that is larger than MaxFileBytes, and of how large.
	// With it such a file comes without a byte.
	Oversize     func(file Hash, size int64)
	Capabilities map[string]string // the capabilities that the server has
}

// Filter is what a fetch leaves out (git-rev-list(1), "--filter").
type Filter int

const (
	FilterNone  Filter = iota
	FilterBlobs        // trees come
	FilterTrees        // neither trees nor files come
)

// request is what upload-pack is sent, all of it at once: it never has to be
// asked what of ours it knows.
func (w FetchRequest) request() ([]byte, error) {
	request := packp.NewUploadRequest()
	for _, c := range []capability.Capability{w.acknowledgements(), capability.Shallow, capability.OFSDelta, capability.ThinPack, capability.Sideband64k, capability.NoProgress} {
		if _, ok := w.Capabilities[string(c)]; !ok || w.NoThin && c == capability.ThinPack {
			continue
		}
		if err := request.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	request.Wants = w.Wants
	request.Depth = packp.DepthCommits(w.Depth)
	haves := packp.UploadHaves{}
	if !w.Have.IsZero() {
		// Without the shallow lines the server would assume that we have all that
		// came before, and leave out files that a revert brings back.
		haves.Haves, request.Shallows = []Hash{w.Have}, w.Shallow
	}
	if w.Filter != FilterNone {
		if err := request.Capabilities.Set(capability.Filter); err != nil {
			return nil, err
		}
		request.Filter = packp.FilterBlobNone()
		if w.Filter == FilterTrees {
			request.Filter = packp.FilterTreeDepth(0)
		}
	}
	var body bytes.Buffer
	if err := errors.Join(request.Encode(&body), haves.Encode(&body, false), pktline.NewEncoder(&body).EncodeString("done\n")); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// acknowledgements is how the server is to say what we have in common. Azure DevOps
// and AWS CodeCommit refuse who does not ask for one of the newer ways.
func (w FetchRequest) acknowledgements() capability.Capability {
	if _, ok := w.Capabilities[string(capability.MultiACKDetailed)]; ok {
		return capability.MultiACKDetailed
	}
	return capability.MultiACK
}

// read takes the objects out of upload-pack's answer while it comes in. The deltas
// that the server made against what we have are resolved from held.
func (w FetchRequest) read(ctx context.Context, answer io.Reader, held Source) (map[Hash]Object, error) {
	answer = &cappedReader{answer, maxPackBytes}
	pack, err := beginAnswer(answer)
	if err != nil {
		return nil, err
	}
	objects, err := readPack(ctx, pack, held, packLimits{keeps: w.Keep, bytes: cmp.Or(w.MaxBytes, maxInflatedBytes), file: w.MaxFileBytes, files: w.Files, oversize: w.Oversize})
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, answer) // so that the connection can be used again
	return objects, err
}

// cappedReader reads up to a limit; what is more is an error.
type cappedReader struct {
	from io.Reader
	left int64
}

func (r *cappedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, errTooMuch
	}
	return n, err
}

// packBand is the pack in upload-pack's answer: it comes on the first band
// (gitprotocol-pack(5), "Packfile Data").
type packBand struct {
	lines *pktline.Scanner
	left  []byte
	ended bool
}

// beginAnswer reads the lines before the pack: where history now ends, and what we
// have in common.
func beginAnswer(answer io.Reader) (*packBand, error) {
	b := &packBand{lines: pktline.NewScanner(answer)}
	for b.lines.Scan() {
		line := b.lines.Bytes()
		if len(line) > 0 && line[0] <= 3 {
			return b, b.take(line)
		}
		word, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		switch word {
		case "", "shallow", "unshallow", "ACK", "NAK":
		default:
			return nil, errMalformedAnswer
		}
	}
	return nil, b.broken()
}

var errMalformedAnswer = errors.New("the server's answer to a fetch is malformed")

func (b *packBand) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if !b.lines.Scan() {
			return 0, b.broken()
		}
		if err := b.take(b.lines.Bytes()); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *packBand) take(line []byte) error {
	switch {
	case len(line) == 0:
		b.ended = true
	case line[0] == 1:
		b.left = line[1:]
	case line[0] == 2: // progress
	case line[0] == 3:
		return errors.New("the server broke off: " + Sanitize(string(line[1:])))
	default:
		return errMalformedAnswer
	}
	return nil
}

// broken says why there are no more lines.
func (b *packBand) broken() error {
	if err := b.lines.Err(); err != nil {
		return fmt.Errorf("reading the server's answer to a fetch: %w", err)
	}
	return errors.New("the server's answer to a fetch ends early")
}
