package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Advertisement is what a service says of the repository before anything is
// asked of it, as far as it matters here.
type Advertisement struct {
	Tip          Hash // of the branch; zero when the branch is not there
	Empty        bool // there is no ref at all
	Capabilities map[string]string
	Default      string          // the branch that HEAD names; empty where the service does not say
	Below        map[string]Hash // where the branches are that were asked for by how their names begin
}

func (a Advertisement) Can(capability string) bool {
	_, ok := a.Capabilities[capability]
	return ok
}

// CanPush reports why the branch cannot be pushed to, if that shows in what
// receive-pack advertises.
func (a Advertisement) CanPush(branch string) error {
	if err := a.usable(branch); err != nil {
		return err
	}
	if !a.Can("report-status") {
		return gitops.Errorf(gitops.Unavailable, "the git server does not report the result of a push")
	}
	return nil
}

// CanFetch reports why the branch cannot be fetched, if that shows in what
// upload-pack advertises.
func (a Advertisement) CanFetch(branch string) error {
	if err := a.usable(branch); err != nil {
		return err
	}
	if !a.Can("shallow") || !a.Can("side-band-64k") {
		return gitops.Errorf(gitops.Unavailable, "the git server cannot send a single commit")
	}
	return nil
}

func (a Advertisement) usable(branch string) error {
	switch {
	case a.Capabilities["object-format"] == "sha256":
		return errSHA256
	case a.Empty:
		return gitops.Errorf(gitops.NotFound, "the repository is empty: push its first commit to the branch %s", branch)
	case a.Tip.IsZero() && a.Default != "" && a.Default != branch:
		return gitops.Errorf(gitops.NotFound, "the repository has no branch %s; its default branch is %s", branch, a.Default)
	case a.Tip.IsZero():
		return gitops.Errorf(gitops.NotFound, "the repository has no branch %s", branch)
	}
	return nil
}

// parseInfoRefs reads the answer to info/refs, with which smart HTTP begins
// (gitprotocol-http(5), "Smart Server Response").
func parseInfoRefs(answer []byte, service, branch string, below []string) (Advertisement, error) {
	in := bytes.NewReader(answer)
	s := pktline.NewScanner(in)
	if !s.Scan() || string(bytes.TrimSpace(s.Bytes())) != "# service="+service {
		return Advertisement{}, gitops.Errorf(gitops.Unavailable, "what answers at the repository's URL does not speak git's smart HTTP protocol")
	}
	if !s.Scan() || len(s.Bytes()) != 0 {
		return Advertisement{}, errors.New("the server's list of refs is malformed")
	}
	return readAdvertisement(in, branch, below)
}

// readAdvertisement reads what a service begins with, up to the flush that ends
// it (gitprotocol-pack(5), "Reference Discovery"). Only the branches that are wanted are
// kept of what may be tens of thousands of refs.
func readAdvertisement(in io.Reader, branch string, below []string) (Advertisement, error) {
	a := Advertisement{Empty: true, Capabilities: make(map[string]string)}
	left := maxBelowBytes
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
		object, ref, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if ref == "capabilities^{}" || object == "shallow" {
			continue
		}
		h, ok := ParseHash(object)
		if !ok {
			if a.Capabilities["object-format"] == "sha256" {
				return a, errSHA256
			}
			return a, errors.New("the server's list of refs is malformed")
		}
		a.Empty = false
		name, isBranch := strings.CutPrefix(ref, "refs/heads/")
		if !isBranch {
			continue
		}
		if name == branch {
			a.Tip = h
		}
		if !slices.ContainsFunc(below, func(begin string) bool { return strings.HasPrefix(name, begin) }) {
			continue
		}
		if left -= belowCost + len(name); left < 0 {
			return a, gitops.Errorf(gitops.TooLarge, "the repository has too many branches whose name begins with %s: delete those that are not needed", strings.Join(below, " or "))
		}
		if a.Below == nil {
			a.Below = make(map[string]Hash)
		}
		a.Below[name] = h
	}
	if err := s.Err(); err != nil {
		return a, fmt.Errorf("reading the server's list of refs: %w", err)
	}
	return a, errors.New("the server's list of refs ends early")
}

var errSHA256 = gitops.Errorf(gitops.Invalid, "the repository has git's SHA-256 object format, which cannot be written yet")

func (a *Advertisement) setCapabilities(text string) {
	for _, c := range strings.Fields(text) {
		name, value, _ := strings.Cut(c, "=")
		a.Capabilities[name] = value
		if branch, ok := strings.CutPrefix(value, "HEAD:refs/heads/"); ok && name == "symref" {
			a.Default = Sanitize(branch)
		}
	}
}
