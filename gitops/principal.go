package gitops

import (
	"strconv"
	"strings"
)

// Right is something that a principal may do to an app in an environment.
type Right string

const (
	RightRead   Right = "read"   // see its deliveries, updates, tags and history
	RightOrder  Right = "order"  // request an update
	RightRetry  Right = "retry"  // retry a failed or blocked update
	RightCancel Right = "cancel" // end an update without writing it: cancel a pending one, dismiss a failed one

	RightRollback Right = "rollback" // go back to an earlier tag, past pins and freezes, and stay there
	RightHold     Right = "hold"     // place and lift pins, freezes and bad marks
	RightStop     Right = "stop"     // stop writing, and resume
	RightOverride Right = "override" // with an order, also for a rollback past a stop: pass what holds it, for a reason

	RightReport Right = "report" // say whether updates run
)

// Rights lists every [Right].
func Rights() []Right {
	return []Right{RightRead, RightOrder, RightRetry, RightCancel, RightRollback, RightHold, RightStop, RightOverride, RightReport}
}

// PrincipalKind is one of a closed set.
type PrincipalKind string

const (
	KindPush     PrincipalKind = "push"     // a registry's event says that an image appeared
	KindDispatch PrincipalKind = "dispatch" // a repository_dispatch of a GitHub repository
	KindJob      PrincipalKind = "job"      // a job of GitHub Actions, by its OIDC token
	KindToken    PrincipalKind = "token"    // the holder of a bearer token
	KindPoll     PrincipalKind = "poll"     // tallyman itself, which found an image in a registry
	KindRevert   PrincipalKind = "revert"   // tallyman itself, which goes back from what does not run
)

// PrincipalKinds lists every [PrincipalKind].
func PrincipalKinds() []PrincipalKind {
	return []PrincipalKind{KindPush, KindDispatch, KindJob, KindToken, KindPoll, KindRevert}
}

// Principal is who is authenticated as asking. Exactly one field is set; the zero
// value is nobody, whom no rule allows anything.
type Principal struct {
	Push     *PushSource
	Dispatch *DispatchSender
	Job      *Job
	Token    string // the token's name
	Poll     string // the registry's host, host or host:port
	Revert   bool   // tallyman itself, which goes back from what does not run
}

// PushSource is where a registry's event came from.
type PushSource struct {
	Source          string // of the delivery: "eventbridge", "sns"
	Account, Region string // in which the image appeared
	Topic           string // ARN; of SNS only
}

// DispatchSender is where a repository_dispatch came from. GitHub never gives a
// number out again; names are for people.
type DispatchSender struct {
	Repository     string // owner/name
	RepositoryID   int64
	InstallationID int64 // of the App on it; 0 when the payload does not say
	Sender         string
	SenderID       int64
}

// Job is what GitHub's token says of a job. Numbers are as GitHub writes them.
type Job struct {
	Issuer                            string
	Repository, RepositoryID, OwnerID string
	Ref                               string
	RefProtected                      bool
	Environment                       string // the GitHub environment; empty when the job runs in none
	RunnerEnvironment                 string // "github-hosted" or "self-hosted"
	Event                             string
	Workflow                          string // workflow_ref: of the workflow that was started
	JobWorkflow, JobWorkflowSHA       string // of the file that the job is in, which may be a reusable one
	Actor, ActorID                    string
	RunID, RunAttempt                 string
}

// Kind is the principal's kind, "" for nobody.
func (p Principal) Kind() PrincipalKind {
	switch {
	case p.Push != nil:
		return KindPush
	case p.Dispatch != nil:
		return KindDispatch
	case p.Job != nil:
		return KindJob
	case p.Token != "":
		return KindToken
	case p.Poll != "":
		return KindPoll
	case p.Revert:
		return KindRevert
	}
	return ""
}

// IsPerson reports whether a principal, by its [Principal.ID], is a person, or a program
// that a person trusts like one: the holder of a token. All others are automation, which
// holds hold without asking.
func IsPerson(principal string) bool { return strings.HasPrefix(principal, string(KindToken)+":") }

// ID names the principal for good: what it ordered is its own by this name. It is
// made of numbers that are not given out again, of names only where our
// configuration gives them. "" for nobody.
func (p Principal) ID() string {
	switch p.Kind() {
	case KindPush:
		return "push:" + p.Push.Source + "/" + p.Push.Account
	case KindDispatch:
		return "dispatch:" + strconv.FormatInt(p.Dispatch.RepositoryID, 10)
	case KindJob:
		return "job:" + p.Job.RepositoryID + "@" + p.Job.Issuer
	case KindToken:
		return "token:" + p.Token
	case KindPoll:
		return "poll:" + p.Poll
	case KindRevert:
		return "revert:tallyman"
	}
	return ""
}

// Actor is who asks, as it stands in trailers and records: "github:ann",
// "aws:123456789012", "token:ops", "registry:ghcr.io", "tallyman:revert". The prefix keeps the kinds apart: a login cannot
// pass for a token. What cannot stand in a trailer is left out for the number that
// stands for it, under a prefix of its own: a login may be all digits.
func (p Principal) Actor() string {
	switch p.Kind() {
	case KindPush:
		return "aws:" + p.Push.Account
	case KindDispatch:
		return named("github:"+p.Dispatch.Sender, p.Dispatch.Sender, p.Dispatch.number())
	case KindJob:
		return named("github:"+p.Job.Actor+"@"+p.Job.Repository, p.Job.Actor, "repository:"+p.Job.RepositoryID)
	case KindToken:
		return "token:" + p.Token
	case KindPoll:
		return named("registry:"+p.Poll, p.Poll, "registry")
	case KindRevert:
		return "tallyman:revert"
	}
	return ""
}

// number stands for a sender without a name that can be shown.
func (d DispatchSender) number() string {
	if d.SenderID == 0 {
		return "repository:" + strconv.FormatInt(d.RepositoryID, 10)
	}
	return "user:" + strconv.FormatInt(d.SenderID, 10)
}

// named is the actor's name if it has one that can stand in a trailer.
func named(actor, name, otherwise string) string {
	if name != "" && CheckActor("", actor) == nil {
		return actor
	}
	return otherwise
}
