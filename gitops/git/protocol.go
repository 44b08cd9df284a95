package git

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Advertisement is what a service says of the repository before anything is
// asked of it, as far as it matters here.
type Advertisement struct {
	Tip          Hash // of the branch; zero when the branch is not there
	Empty        bool // there is no ref at all
	Capabilities map[string]string
}

func (a Advertisement) Can(capability string) bool {
	_, ok := a.Capabilities[capability]
	return ok
}

// parseInfoRefs reads the answer to info/refs, with which smart HTTP begins
// (gitprotocol-http(5), "Smart Server Response").
func parseInfoRefs(answer []byte, service, branch string) (Advertisement, error) {
	in := bytes.NewReader(answer)
	s := pktline.NewScanner(in)
	if !s.Scan() || string(bytes.TrimSpace(s.Bytes())) != "# service="+service {
		return Advertisement{}, gitops.Errorf(gitops.Unavailable, "what answers at the repository's URL does not speak git's smart HTTP protocol")
	}
	if !s.Scan() || len(s.Bytes()) != 0 {
		return Advertisement{}, errors.New("the server's list of refs is malformed")
	}
	return readAdvertisement(in, branch)
}

// readAdvertisement reads what a service begins with, up to the flush that ends
// it (gitprotocol-pack(5), "Reference Discovery"). Only the branch is kept of
// what may be tens of thousands of refs.
func readAdvertisement(in io.Reader, branch string) (Advertisement, error) {
	a := Advertisement{Empty: true, Capabilities: make(map[string]string)}
	s := pktline.NewScanner(in)
	first := true
	for s.Scan() {
		line := s.Bytes()
		if len(line) == 0 {
			return a, nil
		}
		if first {
			refs, capabilities, _ := bytes.Cut(line, []byte{0})
			a.setCapabilities(string(capabilities))
			line, first = refs, false
		}
		name, ref, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if ref == "capabilities^{}" || name == "shallow" {
			continue
		}
		h, ok := ParseHash(name)
		if !ok {
			if a.Capabilities["object-format"] == "sha256" {
				return a, ErrSHA256
			}
			return a, errors.New("the server's list of refs is malformed")
		}
		a.Empty = false
		if ref == "refs/heads/"+branch {
			a.Tip = h
		}
	}
	if err := s.Err(); err != nil {
		return a, fmt.Errorf("reading the server's list of refs: %w", err)
	}
	return a, errors.New("the server's list of refs ends early")
}

var ErrSHA256 = gitops.Errorf(gitops.Invalid, "the repository has git's SHA-256 object format, which cannot be written yet")

func (a *Advertisement) setCapabilities(text string) {
	for _, c := range strings.Fields(text) {
		name, value, _ := strings.Cut(c, "=")
		a.Capabilities[name] = value
	}
}

// FetchRequest says what a fetch brings.
type FetchRequest struct {
	Wants        []Hash            // a commit, or files
	Have         Hash              // a commit that we hold; zero for none
	Shallow      []Hash            // where what we hold of its history ends: we have not what was before these
	Depth        int               // in commits, counted from the one that is wanted; 0 with files
	Filter       Filter            // what of the commits does not come; the server must offer filters
	NoThin       bool              // deltas may refer to nothing outside the answer
	MaxBytes     int64             // inflated bytes that are taken; 0 is as many as ever
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
	for _, c := range []capability.Capability{capability.Shallow, capability.OFSDelta, capability.ThinPack, capability.Sideband64k, capability.NoProgress} {
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
		// Without the shallow lines the server would believe that we have all that
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

// read takes the objects out of upload-pack's answer. The deltas that the server
// made against what we have are resolved from held.
func (w FetchRequest) read(answer []byte, held Source) (map[Hash]Object, error) {
	pack, err := packOf(answer)
	if err != nil {
		return nil, err
	}
	return readPack(pack, held, cmp.Or(w.MaxBytes, maxInflatedBytes))
}

// packOf takes the pack out of upload-pack's answer: lines that say where
// history now ends and what we have in common, then the pack on the first band.
func packOf(answer []byte) ([]byte, error) {
	s := pktline.NewScanner(bytes.NewReader(answer))
	bands := false
	var pack []byte
	for s.Scan() {
		line := s.Bytes()
		switch {
		case len(line) == 0:
			if bands {
				return pack, nil
			}
		case line[0] == 1:
			bands = true
			if pack == nil {
				pack = make([]byte, 0, len(answer))
			}
			pack = append(pack, line[1:]...)
		case line[0] == 2:
			bands = true
		case line[0] == 3:
			return nil, errors.New("the server broke off: " + Sanitize(string(line[1:])))
		case bands:
			return nil, errors.New("the server's answer to a fetch is malformed")
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading the server's answer to a fetch: %w", err)
	}
	return nil, errors.New("the server's answer to a fetch ends early")
}
