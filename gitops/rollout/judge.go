package rollout

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// degradedFor is how long an Application must be Degraded, or run another image, before
	// that is a verdict: health flaps, and the resource tree lags behind health.
	degradedFor = 20 * time.Second
	// confirmedFor replaces degradedFor where the live objects also name the other image.
	confirmedFor = 5 * time.Second
	// idleFor is how long automated sync may take to begin before sync windows are asked for.
	idleFor = 10 * time.Second
	// explainAfter is how long pods may take to be ready before the reason names one.
	explainAfter = 30 * time.Second
	// compareAfter is how long Argo CD may take to compare after a sync before a refresh.
	compareAfter = 3 * time.Second
	// longestReason bounds a reason, in bytes.
	longestReason = 400
)

// The sync and health states of Argo CD that a verdict depends on.
const (
	synced    = "Synced"
	outOfSync = "OutOfSync"

	healthy     = "Healthy"
	progressing = "Progressing"
	degraded    = "Degraded"
	suspended   = "Suspended"
	missing     = "Missing"
)

// judgement is one look while it is judged.
type judgement struct {
	Subject
	Look
	before, after Memory
	wants         Wants
	revision      string // that Argo CD compared with
}

// Judge says where an update stands in one Application. It says healthy only if the same body
// has Synced, a revision that contains the update, and Healthy, if no operation is requested or
// running, and if the pods run the update's image. A verdict with wants may change when the
// look has what it lacked. Judge is safe for concurrent use.
func Judge(s Subject, l Look, m Memory) (Verdict, Memory) {
	j := &judgement{Subject: s, Look: l, before: m}
	v := j.decide()
	v.Revision, v.Wants = j.revision, j.wants
	if l.Newer && !v.State.Final() && len(j.wants.Containing) == 0 && !j.wants.Tree && !j.wants.Managed {
		v.State, v.Reason = gitops.RolloutSuperseded, "another tag was written before it was known to run"
	}
	v.Reason = gitops.Clip(tidy(v.Reason), longestReason)
	return v, j.after
}

var (
	userInfo = regexp.MustCompile(`://[^/@\s]+@`)
	command  = regexp.MustCompile("`([a-z]+ [a-z]+) [^`]*`")
	tempFile = regexp.MustCompile(` "(/[a-z]+)*/[0-9]+"`)
)

// tidy makes one line of a message of Argo CD. It removes users of URLs, which may have a
// password, and what differs between retries: options of commands and names of temporary files.
func tidy(reason string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	reason = userInfo.ReplaceAllString(reason, "://")
	reason = command.ReplaceAllString(reason, "`$1`")
	return strings.TrimRight(tempFile.ReplaceAllString(reason, ""), ". ")
}

func is(state gitops.RolloutState, reason string) Verdict {
	return Verdict{State: state, Reason: reason}
}

// pending is the verdict of a look that lacks something. It keeps the memory as it was.
func (j *judgement) pending(state gitops.RolloutState, reason string) Verdict {
	j.after = j.before
	return is(state, reason)
}

func (j *judgement) decide() Verdict {
	a := j.Application
	switch {
	case a == nil:
		return is(gitops.RolloutGone, "the Application is not there any more")
	case a.Metadata.DeletionTimestamp != nil:
		return is(gitops.RolloutGone, "the Application is being deleted")
	}
	compared := j.revisionsOf(a.Status.Sync.Revision, a.Status.Sync.Revisions)
	if len(compared) > 0 {
		j.revision = compared[0]
	}
	if why, fails := failedComparison(a.Status); fails {
		j.wants.Refresh = true // git may be there again long before Argo CD looks by itself
		return is(gitops.RolloutWaiting, why)
	}
	if a.Status.Sync.Status != synced && a.Status.Sync.Status != outOfSync {
		j.wants.Refresh = true
		return is(gitops.RolloutWaiting, "Argo CD has not compared the Application with git yet")
	}
	has, revision, known := j.contained(compared)
	if !known {
		return j.pending(gitops.RolloutWaiting, "Argo CD compares with "+short(revision)+", which is not looked up yet")
	}
	op := j.operation()
	if has != Contained {
		j.revision = revision
		return j.notYet(op, has, revision)
	}
	if op.running && op.at != Contained && op.at != "" {
		return j.blocked(op)
	}
	if a.Status.Sync.Status == synced {
		return j.applied(op, "")
	}
	return j.outOfSync(op)
}

// failedComparison says why Argo CD cannot tell what git asks for.
func failedComparison(s Status) (why string, fails bool) {
	for _, c := range s.Conditions {
		if c.Type == "ComparisonError" || c.Type == "InvalidSpecError" {
			return c.Type + ": " + c.Message, true
		}
	}
	if s.Sync.Status == "Unknown" {
		return "Argo CD cannot compare the Application with git", true
	}
	return "", false
}

// notYet judges an Application that Argo CD compared with a revision without the update.
func (j *judgement) notYet(op operation, has Containment, revision string) Verdict {
	if has == OtherTag && j.Commit != "" {
		return is(gitops.RolloutSuperseded, "the file has another tag at "+short(revision))
	}
	j.wants.Refresh = true
	switch {
	case op.running && op.at == Contained && !op.dryRun:
		return is(gitops.RolloutSyncing, op.words())
	case op.running && op.at != Contained && op.revision != "":
		return j.blocked(op)
	case has == Elsewhere:
		return is(gitops.RolloutWaiting, "Argo CD compares with "+short(revision)+", which does not have this commit: the branch was pushed by force, or another is followed")
	case has == OtherTag:
		return is(gitops.RolloutWaiting, "Argo CD compares with "+short(revision)+", where the file has another tag")
	case has == NotARevision:
		return is(gitops.RolloutWaiting, "Argo CD does not say with which commit it compares")
	}
	return is(gitops.RolloutWaiting, "Argo CD compares with "+short(revision)+" and has not looked at this commit")
}

// blocked judges an Application whose operation applies a revision without the update.
func (j *judgement) blocked(op operation) Verdict {
	if op.at == OtherTag && j.Commit != "" {
		return is(gitops.RolloutSuperseded, "the file has another tag at "+short(op.revision))
	}
	return is(gitops.RolloutWaiting, op.blocks())
}

// outOfSync judges an Application whose revision contains the update and is not applied,
// according to the last comparison.
func (j *judgement) outOfSync(op operation) Verdict {
	switch {
	case op.running && !op.dryRun:
		return is(gitops.RolloutSyncing, op.words())
	case op.unknown:
		return j.pending(gitops.RolloutWaiting, "the revision of the last sync is not looked up yet")
	case op.failed() && !op.partial:
		return is(gitops.RolloutSyncFailed, op.words())
	case op.hasApplied() && (!op.partial || op.automated):
		return j.syncedOnce(op)
	case !j.isAutomated():
		return is(gitops.RolloutPerson, "automated sync is off")
	}
	return j.idle()
}

// idle judges an Application that automated sync should apply, and has not begun to.
func (j *judgement) idle() Verdict {
	j.after.IdleSince = earlier(j.before.IdleSince, j.Now)
	if j.Now.Sub(j.after.IdleSince) >= idleFor {
		j.wants.Windows = j.Windows == nil
		if j.Windows != nil && !j.Windows.CanSync {
			return is(gitops.RolloutWaiting, "a sync window of the project keeps Argo CD from syncing it")
		}
		for _, c := range j.Application.Status.Conditions {
			if strings.HasSuffix(c.Type, "Error") {
				return is(gitops.RolloutWaiting, c.Type+": "+c.Message)
			}
		}
	}
	return is(gitops.RolloutWaiting, "OutOfSync, and Argo CD has not begun to sync it")
}

// syncedOnce judges an Application that is OutOfSync after a full sync of a revision with the
// update. Either Argo CD has not compared since, or something stays OutOfSync for good, such as
// an object that must be pruned. In that case the update's own workloads decide.
func (j *judgement) syncedOnce(op operation) Verdict {
	status := j.Application.Status
	if status.ReconciledAt == nil || op.finishedAt == nil || !status.ReconciledAt.After(*op.finishedAt) {
		j.after = Memory{IdleSince: earlier(j.before.IdleSince, j.Now), ProgressingSince: j.before.ProgressingSince}
		j.wants.Refresh = j.Now.Sub(j.after.IdleSince) >= compareAfter
		return is(gitops.RolloutSyncing, "it is applied, and Argo CD has not compared since")
	}
	if j.Tree == nil {
		j.wants.Tree = true
		return j.pending(gitops.RolloutSyncing, "it is applied, and OutOfSync")
	}
	drifted, rest := j.drift()
	switch {
	case drifted == "":
		return j.applied(op, "OutOfSync besides: "+rest)
	case op.failed():
		return is(gitops.RolloutSyncFailed, op.words())
	case j.isAutomated() && !slices.Equal(op.revisions, j.revisionsOf(status.Sync.Revision, status.Sync.Revisions)):
		return j.idle() // git has something newer
	case j.isAutomated() && j.Application.Spec.SyncPolicy.Automated.SelfHeal:
		return is(gitops.RolloutSyncing, "OutOfSync after the sync: "+drifted)
	}
	return is(gitops.RolloutPerson, "OutOfSync after the sync, and nothing syncs it again by itself: "+drifted)
}

// isAutomated reports whether Argo CD syncs the Application by itself.
func (j *judgement) isAutomated() bool {
	p := j.Application.Spec.SyncPolicy
	return p != nil && p.Automated != nil && (p.Automated.Enabled == nil || *p.Automated.Enabled)
}

// earlier returns since, or now where nothing was seen before.
func earlier(since, now time.Time) time.Time {
	if since.IsZero() {
		return now
	}
	return since
}
