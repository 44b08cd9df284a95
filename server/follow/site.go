package follow

import (
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// By is who says where an update stands in the cluster.
type By string

// Who does.
const (
	ByArgoCD  By = "argocd"  // Argo CD is asked
	ByReports By = "reports" // somebody reports it
)

// Followed is how an app in an environment is followed.
type Followed struct {
	By      By // "" where it is not followed
	Timeout time.Duration
	Revert  bool             // what fails is gone back from
	File    rollout.Manifest // its first, which says which tag it has
	// Application is the one that deploys it, as PROJECT/NAME or PROJECT/NAMESPACE/NAME; ""
	// where it is found by its file.
	Application string
}

// Site is what is in force. It is comparable, and equal as long as nothing in it changes.
type Site interface {
	// Followed is how an app is followed. It is not known while the branches were not looked
	// at yet that may name the app.
	Followed(environment, app string) (f Followed, known bool)
	// Instances are the Argo CDs that are asked, in the order of the configuration.
	Instances() []Instance
}

// Instance is one Argo CD, or some of its projects. It is the same as long as its Argo, which
// is comparable, is.
type Instance struct {
	Name string // for metrics
	Argo
}

// Ref names an Application.
type Ref struct {
	Project   string
	Namespace string
	Name      string
}

// String is PROJECT/NAMESPACE/NAME.
func (r Ref) String() string { return r.Project + "/" + r.Namespace + "/" + r.Name }

// Found is which Applications read a file.
type Found struct {
	All  []Ref
	Near string // without any: what came close and why it does not count, a sentence without its full stop; "" where nothing did
}

// ErrNotCompared is wrapped by the error of a refresh that Argo CD took and did not carry out
// in time.
var ErrNotCompared = errors.New("not compared")

// Argo asks one instance. Safe for concurrent use. A call takes some 10 s at most. An error
// with RetryAfter says that the instance cannot be asked, for so long at least, and why: its
// code is Unauthorized, RateLimited or Unavailable; a token that was refused is not sent until
// RetryAfter, and another one is at once. Of another error the code is NotFound of
// an Application that is not there, Forbidden or Rejected of one that may not be read; any
// other is of this request alone.
type Argo interface {
	// List learns which Applications there are and what they read. It is one request for each
	// project.
	List(ctx context.Context) error
	// Find names those of the last List that read the file, or the one that has the name. It
	// asks nothing.
	Find(file rollout.Manifest, application string) Found
	// Application is one as it stands. With refresh Argo CD first looks at git and compares.
	Application(ctx context.Context, ref Ref, refresh bool) (*rollout.Application, error)
	Tree(ctx context.Context, ref Ref) (*rollout.Tree, error)
	Managed(ctx context.Context, ref Ref) ([]rollout.Managed, error)
	Windows(ctx context.Context, ref Ref) (*rollout.Windows, error)
	// Page is the Application's, for people.
	Page(ref Ref) string
}

// Git is what the manifest repositories are asked. Safe for concurrent use.
type Git interface {
	// Containment is what a revision has of an update. The error's code is Unavailable while
	// that cannot be found out.
	Containment(ctx context.Context, u gitops.Update, revision string) (rollout.Containment, error)
}

// Store is what is asked of the queue's store.
type Store interface {
	queue.Leases
	queue.Checkpoints
	queue.ChangeFeed
	// ReportRollouts and OpenRollouts are those of [queue.Rollouts].
	ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error)
	OpenRollouts(ctx context.Context) ([]gitops.Update, error)
	Head(ctx context.Context, environment, app string) (gitops.Head, error)
	Update(ctx context.Context, id string) (gitops.Update, error)
}

// Cause is why Argo CD was asked to look at git.
type Cause string

// The causes.
const (
	FirstRefresh Cause = "first" // its webhook had not come 2 s after the push
	NextRefresh  Cause = "next"  // it had not looked after that
)

// Causes lists every [Cause].
func Causes() []Cause { return []Cause{FirstRefresh, NextRefresh} }

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Ended is told of a verdict when it was recorded.
	Ended(u gitops.Update, r gitops.Rollout)
	// Open is how many rollouts are followed now, by environment and state; nil while this
	// replica follows none.
	Open(now map[Standing]int)
	Refreshed(instance string, cause Cause)
	// Away says whether an instance does not answer, or refuses its token.
	Away(instance string, away bool)
}

// Standing is where rollouts stand.
type Standing struct {
	Environment string
	State       gitops.RolloutState
}
