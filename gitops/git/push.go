package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// errNoReport says that the server answered a push without saying what became
// of it. An empty answer with status 200 is one, and no success.
var errNoReport = errors.New("the server answered the push without a report")

// PushRequest asks the server to move the branch from one commit to another, and
// brings the pack that it needs for it. The zero hash is no branch: such an Old makes it,
// such a New deletes it, and then there is no pack.
type PushRequest struct {
	Branch       string
	Old, New     Hash
	Pack         []byte
	Capabilities map[string]string // the capabilities that the server has
}

func (u PushRequest) ref() plumbing.ReferenceName { return plumbing.NewBranchReferenceName(u.Branch) }

// request is what receive-pack is sent.
func (u PushRequest) request() ([]byte, error) {
	if _, can := u.Capabilities["delete-refs"]; u.New.IsZero() && !can {
		return nil, &Refusal{status: "it does not delete branches"}
	}
	request := packp.NewReferenceUpdateRequest()
	request.Commands = []*packp.Command{{Name: u.ref(), Old: u.Old, New: u.New}}
	for _, c := range []capability.Capability{capability.ReportStatus, capability.OFSDelta, capability.Sideband64k, capability.Quiet} {
		if _, ok := u.Capabilities[string(c)]; !ok {
			continue
		}
		if err := request.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	if err := request.Capabilities.Set(capability.Agent, agent); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	body.Grow(len(u.Pack) + 512)
	if err := request.Encode(&body); err != nil {
		return nil, err
	}
	body.Write(u.Pack)
	return body.Bytes(), nil
}

// readReport reads up to the end of the report and judges it: success is a pack
// that was unpacked and a command for our ref that went well, and nothing less.
func (u PushRequest) readReport(answer io.Reader) error {
	answer = io.LimitReader(answer, maxReportBytes)
	var said serverWords
	if _, bands := u.Capabilities[string(capability.Sideband64k)]; bands {
		demuxer := sideband.NewDemuxer(sideband.Sideband64k, answer)
		demuxer.Progress = &said // without it the words of a hook that refuses are lost
		answer = demuxer
	}
	status := packp.NewReportStatus()
	if err := status.Decode(answer); err != nil {
		return fmt.Errorf("%w: %w", errNoReport, err)
	}
	for _, c := range status.CommandStatuses {
		switch {
		case c.ReferenceName != u.ref():
		case status.UnpackStatus != "ok":
			return &Refusal{status: Sanitize("unpacking failed: " + status.UnpackStatus), said: said.String(), Unpack: true}
		case c.Status != "ok":
			return &Refusal{status: Sanitize(c.Status), said: said.String()}
		default:
			return nil
		}
	}
	return fmt.Errorf("%w for %s", errNoReport, u.ref())
}
