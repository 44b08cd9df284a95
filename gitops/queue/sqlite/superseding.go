package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// supersede ends what is still open of the apps that were written or proposed, and older
// than their heads or than what was proposed.
func (p *reporting) supersede() error {
	apps, newest := make(map[string]bool), int64(0)
	for app := range p.written {
		apps[app], newest = true, max(newest, p.head(p.environment, app).Written)
	}
	for app, u := range p.proposed {
		apps[app], newest = true, max(newest, u.Sequence)
	}
	if newest == 0 {
		return nil
	}
	found, err := openOf(context.Background(), p.connection, p.environment, apps, 0, newest)
	if err != nil {
		return err
	}
	slices.Sort(found)
	for _, sequence := range found {
		u, err := readSequence(context.Background(), p.connection, sequence, asStored)
		if err != nil {
			return err
		}
		if err := p.supersedeOne(u); err != nil {
			return err
		}
	}
	return nil
}

// supersedeOne ends an update that is older than what was written or proposed of its app.
func (p *reporting) supersedeOne(u gitops.Update) error {
	tag, id := "", ""
	switch head, proposed := p.head(u.Environment, u.App), p.proposed[u.App]; {
	case p.written[u.App] && u.Sequence <= head.Written:
		tag, id = head.WrittenTag, head.WrittenID
	case u.Sequence < proposed.Sequence:
		tag, id = proposed.Tag, proposed.ID
	default:
		return nil
	}
	after := p.moved(u, gitops.Superseded)
	after.Reason = fmt.Sprintf("superseded by %s (update %s)", tag, id)
	p.updates[u.ID] = after
	p.superseded = append(p.superseded, after)
	return p.save(u, after, gitops.Step{State: after.State, Reason: after.Reason})
}
