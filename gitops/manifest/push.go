package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// errNoReport says that the server answered a push without saying what became
// of it. An empty answer with status 200 is one, and no success.
var errNoReport = errors.New("the server answered the push without a report")

// push asks the server to move the branch from old to new, and sends the pack.
// It is one POST, without asking for the refs first: the server compares old
// with what it has. A nil error means that the server reported success for the
// pack and for the branch. A [*refusal] is the server's no; after any other
// error the push may have happened, now or a little later.
func (r *remote) push(ctx context.Context, branch string, old, new hash, pack []byte, offered map[string]string) error {
	ref := plumbing.NewBranchReferenceName(branch)
	request := packp.NewReferenceUpdateRequest()
	request.Commands = []*packp.Command{{Name: ref, Old: old, New: new}}
	for _, c := range []capability.Capability{capability.ReportStatus, capability.OFSDelta, capability.Sideband64k} {
		if _, ok := offered[string(c)]; !ok {
			continue
		}
		if err := request.Capabilities.Set(c); err != nil {
			return err
		}
	}
	if err := request.Capabilities.Set(capability.Agent, agent); err != nil {
		return err
	}
	var body bytes.Buffer
	body.Grow(len(pack) + 512)
	if err := request.Encode(&body); err != nil {
		return err
	}
	body.Write(pack)

	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Push)
	response, err := r.open(ctx, http.MethodPost, "/"+receivePack, receivePack, body.Bytes())
	if err != nil {
		cancel()
		return err
	}
	defer r.drain(response.Body, cancel)
	return readReport(io.LimitReader(response.Body, maxReportBytes), request.Capabilities.Supports(capability.Sideband64k), ref)
}

// readReport reads up to the end of the report and judges it: success is a pack
// that was unpacked and a command for our ref that went well, and nothing less.
func readReport(answer io.Reader, bands bool, ref plumbing.ReferenceName) error {
	var said bytes.Buffer
	if bands {
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
		case c.ReferenceName != ref:
		case status.UnpackStatus != "ok":
			return &refusal{status: words("unpacking failed: " + status.UnpackStatus), said: words(said.String()), unpack: true}
		case c.Status != "ok":
			return &refusal{status: words(c.Status), said: words(said.String())}
		default:
			return nil
		}
	}
	return fmt.Errorf("%w for %s", errNoReport, ref)
}
