package notify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Kind is what a message tells of. The set is closed.
type Kind string

const (
	KindFailed    Kind = "failed"    // an update cannot be written, until a person does something
	KindHeld      Kind = "held"      // a pin, a freeze, a stop or a bad mark keeps an update from being written
	KindProposed  Kind = "proposed"  // an update is in a pull request that is open
	KindCommitted Kind = "committed" // an update's commit is on the branch
	KindHealthy   Kind = "healthy"   // an update runs
	KindDegraded  Kind = "degraded"  // a written update does not run, could not be applied, or did not come to run in time
	KindReverted  Kind = "reverted"  // tallyman went back to the tag before, since the rollout failed
	KindFrozen    Kind = "frozen"    // a pin, a freeze, a stop or a bad mark was placed or lifted
	KindTest      Kind = "test"      // nothing happened: somebody tests the notifier
)

// Kinds lists the kinds that a notifier may be for.
func Kinds() []Kind {
	return []Kind{KindFailed, KindHeld, KindProposed, KindCommitted, KindHealthy, KindDegraded, KindReverted, KindFrozen}
}

// Version is that of the form of a [Message]: it rises when a field changes its meaning or
// goes. Fields may come without that.
const Version = 1

// Message is what a receiver is told. Its JSON form is the webhook's body.
type Message struct {
	Version  int       `json:"version"` // [Version]
	ID       string    `json:"id"`      // the same each time that the message is sent
	Notifier string    `json:"notifier"`
	Kind     Kind      `json:"kind"`
	At       time.Time `json:"at"`             // UTC, when it happened
	Title    string    `json:"title"`          // one sentence without its full stop
	Text     string    `json:"text"`           // as the notifier's template makes it
	Link     string    `json:"link,omitempty"` // where a person looks first
	Update   *Update   `json:"update,omitempty"`
	Hold     *Hold     `json:"hold,omitempty"` // of [KindFrozen]
}

// Update is what a message says of an update.
type Update struct {
	ID          string             `json:"id"`
	Environment string             `json:"environment"`
	App         string             `json:"app"`
	Tag         string             `json:"tag"`
	Digest      string             `json:"digest,omitempty"`
	State       gitops.State       `json:"state"`
	Code        gitops.Code        `json:"code,omitempty"`   // of the failure
	Reason      string             `json:"reason,omitempty"` // why it ended so, or was ordered; one line
	Actor       string             `json:"actor,omitempty"`  // who ordered it
	Delivery    gitops.DeliveryKey `json:"delivery"`
	Commit      string             `json:"commit,omitempty"`      // of the manifest repository
	CommitURL   string             `json:"commitURL,omitempty"`   // its page
	PullRequest string             `json:"pullRequest,omitempty"` // its page
	RollsBack   string             `json:"rollsBack,omitempty"`   // the tag that is left, of what goes back
	Reverts     string             `json:"reverts,omitempty"`     // the id of the update whose rollout failed
	Rollout     *Rollout           `json:"rollout,omitempty"`     // where it stands in the cluster
}

// Rollout is where an update stands in the cluster.
type Rollout struct {
	State  gitops.RolloutState `json:"state"`
	Reason string              `json:"reason,omitempty"`
	URL    string              `json:"url,omitempty"` // the page of the first place that says so
}

// Hold is what a message says of a hold.
type Hold struct {
	ID           string          `json:"id"`
	Kind         gitops.HoldKind `json:"kind"`
	Environments []string        `json:"environments,omitempty"` // empty means all
	Apps         []string        `json:"apps,omitempty"`         // empty means all
	Tag          string          `json:"tag,omitempty"`
	Actor        string          `json:"actor"` // who placed it, or lifted it
	Reason       string          `json:"reason,omitempty"`
	Until        time.Time       `json:"until,omitzero"`
	Lifted       bool            `json:"lifted"`
}

// message is what the notifier's receiver is told of a change; nil for nothing. Its error is
// the store's.
func (f *follower) message(ctx context.Context, c queue.Change) (*Message, error) {
	kind, err := f.kindOf(ctx, c)
	if err != nil || kind == "" {
		return nil, err
	}
	m := Message{Version: Version, ID: messageID(f.Name, c), Notifier: f.Name, Kind: kind, At: c.At.UTC()}
	if c.Hold != nil {
		m.Hold = aboutHold(*c.Hold)
	} else {
		m.Update = aboutUpdate(*c.Update, c.Rollout, f.CommitURL(*c.Update))
		m.Link = linkOf(kind, *m.Update)
	}
	m.Title = titleOf(m)
	m.Text = f.Text.of(m)
	return &m, nil
}

// kindOf is the first of the change's kinds that the notifier is for; "" where it is for none.
func (f *follower) kindOf(ctx context.Context, c queue.Change) (Kind, error) {
	for _, kind := range kindsOf(c) {
		if !slices.Contains(f.Kinds, kind) || !f.covers(c) {
			continue
		}
		if kind != KindHeld {
			return kind, nil
		}
		if held, err := f.held(ctx, *c.Update); err != nil || held {
			return kind, err
		}
	}
	return "", nil
}

// kindsOf are the kinds of a change, the narrowest first. What is pending may be held.
func kindsOf(c queue.Change) []Kind {
	switch {
	case c.Hold != nil:
		return []Kind{KindFrozen}
	case c.Update == nil:
		return nil
	case c.Rollout && c.Update.Rollout.State == gitops.RolloutHealthy:
		return []Kind{KindHealthy}
	case c.Rollout && c.Update.Rollout.State.Failed():
		return []Kind{KindDegraded}
	case c.Rollout:
		return nil
	}
	revert := c.Update.Terms != nil && c.Update.Terms.Reverts != ""
	switch c.Update.State {
	case gitops.Failed:
		return []Kind{KindFailed}
	case gitops.Proposed:
		return []Kind{KindProposed}
	case gitops.Pending:
		return []Kind{KindHeld}
	case gitops.Committed:
		if revert {
			return []Kind{KindReverted, KindCommitted}
		}
		return []Kind{KindCommitted}
	case gitops.Unchanged:
		if revert {
			return []Kind{KindReverted}
		}
	}
	return nil
}

// covers reports whether the notifier is for the environment and the app of a change, or for
// some of those that a hold is of.
func (f *follower) covers(c queue.Change) bool {
	if c.Hold == nil {
		return f.coversSome([]string{c.Update.Environment}, []string{c.Update.App})
	}
	return f.coversSome(c.Hold.Environments, c.Hold.Apps)
}

func (f *follower) coversSome(environments, apps []string) bool {
	inEnvironment := func(name string) bool { return slices.Contains(f.Environments, name) }
	return (len(f.Environments) == 0 || len(environments) == 0 || slices.ContainsFunc(environments, inEnvironment)) &&
		(f.App == nil || len(apps) == 0 || slices.ContainsFunc(apps, f.App))
}

// held reports whether a hold keeps an update from being written, and the change that says
// so is the one that is looked at: a change does not say what blocks it.
func (f *follower) held(ctx context.Context, u gitops.Update) (bool, error) {
	if u.Reason == "" {
		return false, nil
	}
	now, err := f.Store.Update(ctx, u.ID)
	if gitops.CodeOf(err) == gitops.NotFound { // pruned
		return false, nil
	}
	return slices.ContainsFunc(now.BlockedBy, func(b gitops.Block) bool {
		return b.Kind.Held() && strings.Contains(u.Reason, b.Reason)
	}), err
}

// messageID is the same for a change and a notifier whoever sends it. A store that was
// restored may give a cursor a second time, to another change.
func messageID(notifier string, c queue.Change) string {
	of := ""
	if c.Hold != nil {
		of = c.Hold.ID
	} else {
		of = c.Update.ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%s", notifier, c.Cursor, c.At.UnixMicro(), of))
	return "msg_" + hex.EncodeToString(sum[:16])
}

func aboutUpdate(u gitops.Update, rollout bool, commitURL string) *Update {
	about := &Update{
		ID: u.ID, Environment: u.Environment, App: u.App, Tag: u.Tag, Digest: u.ImageDigest(), State: u.State, Code: u.Code,
		Reason: line(u.Reason), Actor: line(u.Actor), Delivery: u.Delivery, Commit: u.Commit, CommitURL: commitURL,
	}
	if u.Proposal != nil {
		about.PullRequest = u.Proposal.URL
	}
	if u.Terms != nil {
		about.RollsBack, about.Reverts = u.Terms.RollsBack, u.Terms.Reverts
		about.Reason = cmp.Or(about.Reason, line(u.Terms.Reason))
	}
	if rollout {
		about.Rollout = &Rollout{State: u.Rollout.State, Reason: line(u.Rollout.Reason)}
		same := func(p gitops.RolloutPlace) bool { return p.State == u.Rollout.State }
		if at := slices.IndexFunc(u.Rollout.Places, same); at >= 0 {
			about.Rollout.URL = u.Rollout.Places[at].URL
		}
	}
	return about
}

func aboutHold(h gitops.Hold) *Hold {
	about := &Hold{
		ID: h.ID, Kind: h.Kind, Environments: h.Environments, Apps: h.Apps, Tag: h.Tag,
		Actor: line(h.Actor), Reason: line(h.Reason), Until: h.Until, Lifted: h.Lifted != nil,
	}
	if h.Lifted != nil {
		about.Actor, about.Reason = line(h.Lifted.Actor), line(h.Lifted.Reason)
	}
	return about
}

// linkOf is where a person looks first.
func linkOf(kind Kind, u Update) string {
	if u.Rollout != nil {
		return cmp.Or(u.Rollout.URL, u.CommitURL)
	}
	if kind == KindProposed {
		return u.PullRequest
	}
	return cmp.Or(u.CommitURL, u.PullRequest)
}

// line bounds a text of others, such as Argo CD's, and makes it one line that reads as it is.
func line(text string) string { return gitops.OneLine(text, 600) }
