package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// supersede ends what is still open of the apps that were written or proposed, and older
// than their heads or than the newest of them that is proposed.
func (p *reporting) supersede() error {
	apps, err := p.decided()
	if err != nil || len(apps) == 0 {
		return err
	}
	var newest int64
	for app := range apps {
		newest = max(newest, p.head(p.environment, app).Written, p.proposed[app].Sequence)
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

// decided are the apps that the report wrote or proposed. The proposed one of an app is
// from here on its newest in this state, which the report need not have made.
func (p *reporting) decided() (map[string]bool, error) {
	apps := make(map[string]bool, len(p.written)+len(p.proposed))
	for app := range p.written {
		apps[app] = true
	}
	for app, u := range p.proposed {
		apps[app] = true
		later, err := numbersOf(context.Background(), p.connection, openProposed, p.environment, app, u.Sequence+1, int64(math.MaxInt64))
		if err != nil {
			return nil, err
		}
		if len(later) == 0 {
			continue
		}
		if p.proposed[app], err = readSequence(context.Background(), p.connection, slices.Max(later), asStored); err != nil {
			return nil, err
		}
	}
	return apps, nil
}

// supersedeOne ends an update that is older than what decides of its app.
func (p *reporting) supersedeOne(u gitops.Update) error {
	tag, id := "", ""
	switch head, proposed := p.head(u.Environment, u.App), p.proposed[u.App]; {
	case u.Sequence <= head.Written:
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
