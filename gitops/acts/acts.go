// Package acts decides what a person's act means: an order against what holds, a hold, the
// end of one, a rollback. It is a pure function of the request and of what is known, so
// that a dry run, a command and a request of the API say the same.
package acts

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// By is who acts, and what allows it.
type By struct {
	Principal gitops.Principal
	Rule      string // the access rule

	Credential, Remote, Config string // for the audit: see gitops.AuditEntry
}

// State is what holds now.
type State struct {
	queue.InForce
	Freezes *gate.Freezes
}

// Blocks is everything that keeps a tag from being written, past the kinds that it may
// pass.
func (s State) Blocks(environment, app, tag string, passes ...gitops.BlockKind) []gitops.Block {
	return gate.Judge(gate.Question{Environment: environment, App: app, Tag: tag, Passes: passes}, s.Holds, s.Freezes, s.At)
}

// Held is everything that keeps an accepted update from being written.
func (s State) Held(u gitops.Update) []gitops.Block {
	return gate.Judge(gate.About(u), s.Holds, s.Freezes, s.At)
}

// Blocked is the refusal of an act for what holds it.
type Blocked struct {
	Err       *gitops.Error // its code is Conflict
	BlockedBy []gitops.Block
}

// Error is the sentence, for logs.
func (b *Blocked) Error() string { return b.Err.Error() }

func (b *Blocked) Unwrap() error { return b.Err }

// blocked refuses an act. The way out is a sentence without its full stop.
func blocked(where string, blocks []gitops.Block, wayOut string) error {
	reasons := make([]string, len(blocks))
	for i, b := range blocks {
		reasons[i] = b.Reason
	}
	return &Blocked{gitops.Errorf(gitops.Conflict, "%s is held: %s. %s", where, gitops.Clip(strings.Join(reasons, "; "), 1000), wayOut), blocks}
}

// CheckReason reports what is wrong with a reason that must be given.
func CheckReason(field, reason string) error {
	if reason == "" {
		return gitops.FieldErrorf(field, "is missing: say why in one line, for whoever finds it changed")
	}
	return gitops.CheckReason(field, reason)
}

// place names an app in an environment.
func place(environment, app string) string { return app + " in " + environment }

// kinds are those of blocks, each once, in the order of the list of all.
func kinds(blocks []gitops.Block) (found []gitops.BlockKind) {
	for _, kind := range gitops.BlockKinds() {
		if slices.ContainsFunc(blocks, func(b gitops.Block) bool { return b.Kind == kind }) {
			found = append(found, kind)
		}
	}
	return found
}

// kindList names kinds in a sentence.
func kindList(found []gitops.BlockKind) string {
	texts := make([]string, len(found))
	for i, kind := range found {
		texts[i] = string(kind)
	}
	return strings.Join(texts, ", ")
}

// entry is the audit's of an act about an update of a delivery.
func (b By) entry(act gitops.Act, right gitops.Right, u gitops.Update, key gitops.DeliveryKey) gitops.AuditEntry {
	return gitops.AuditEntry{
		Act: act, Principal: b.Principal.ID(), Actor: b.Principal.Actor(), Credential: b.Credential, Remote: b.Remote, Right: right, Rule: b.Rule,
		Environment: u.Environment, App: u.App, Update: gitops.UpdateID(key, u.Environment, u.App), Delivery: key.String(), Config: b.Config,
	}
}
