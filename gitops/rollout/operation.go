package rollout

import (
	"fmt"
	"strings"
	"time"
)

// operation is the requested or running operation of an Application, or else its last one.
type operation struct {
	running    bool // or is about to
	dryRun     bool
	partial    bool     // of some resources alone
	automated  bool     // by Argo CD itself: a partial one comes after all of that revision was applied
	revision   string   // that it applies; "" where that is not said
	revisions  []string // of all sources that read the file
	phase      string
	message    string
	retries    int
	finishedAt *time.Time
	applied    *SyncResult // nil before it began
	// at is the containment of its revision; "" if it names no revision, or if unknown.
	at      Containment
	unknown bool
}

func (j *judgement) operation() (op operation) {
	state := j.Application.Status.OperationState
	asked := j.Application.Operation
	var of Operation
	switch {
	case state != nil && (asked == nil || !state.hasEnded()):
		op.running, op.phase, op.message = !state.hasEnded(), state.Phase, state.Message
		op.retries, op.finishedAt, op.applied = state.RetryCount, state.FinishedAt, state.SyncResult
		of = state.Operation
	case asked != nil:
		op.running, of = true, *asked
	default:
		return op
	}
	var revisions []string
	if op.applied != nil {
		revisions = j.revisionsOf(op.applied.Revision, op.applied.Revisions)
	}
	op.automated = of.InitiatedBy.Automated
	if sync := of.Sync; sync != nil {
		op.dryRun, op.partial = sync.DryRun, len(sync.Resources) > 0
		if len(revisions) == 0 {
			revisions = j.revisionsOf(sync.Revision, sync.Revisions)
		}
	}
	if len(revisions) == 0 {
		return op
	}
	at, revision, known := j.contained(revisions)
	op.revisions, op.revision, op.unknown = revisions, revision, !known
	if known {
		op.at = at
	}
	return op
}

func (s *OperationState) hasEnded() bool {
	return s.Phase == "Succeeded" || s.Phase == "Failed" || s.Phase == "Error"
}

// hasApplied reports whether it ended, and was a sync of a revision with the update. An
// operation without a result failed before it began, and Argo CD tries that revision again.
func (o operation) hasApplied() bool {
	return !o.running && !o.dryRun && o.applied != nil && o.at == Contained
}

func (o operation) failed() bool { return o.hasApplied() && o.phase != "Succeeded" }

// blocks says that this operation keeps Argo CD from applying the update.
func (o operation) blocks() string {
	words := "blocked by the sync of " + short(o.revision)
	if o.retries > 0 {
		words += fmt.Sprintf(", retry %d", o.retries)
	}
	return words
}

// words is the operation's message, and the resources that failed.
func (o operation) words() string {
	words := tidy(o.message)
	if o.applied == nil {
		return words
	}
	for _, r := range o.applied.Resources {
		if (r.Status == "SyncFailed" || r.HookPhase == "Failed" || r.HookPhase == "Error") && !strings.Contains(words, tidy(r.Message)) {
			words = join(words, r.words(r.Message))
		}
	}
	return words
}

// words names the resource and says something of it.
func (r Resource) words(message string) string {
	name := r.Kind + " " + r.Name
	if r.HookType != "" {
		name = r.HookType + " " + name
	}
	if message == "" {
		return name
	}
	return name + ": " + message
}

// join puts two parts into one sentence.
func join(one, other string) string {
	if one == "" || other == "" {
		return one + other
	}
	return strings.TrimRight(one, ". ") + "; " + other
}
