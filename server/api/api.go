// Package api is /api/v1: what happened to every event and why, orders without a
// webhook, decisions about updates, and a live stream of changes. docs/openapi.yaml
// describes it for its users, and docs/api.md teaches it.
//
// A handler parses, calls and returns what to render; the server renders answers
// and errors, the same for all it serves. Every answer is in the domain's own
// JSON form. Nothing here keeps state but the number of open streams, so any
// replica answers any question.
package api

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/verify"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Source names the API in the keys of the deliveries that it brings.
const Source = "api"

// Store is what the API asks the queue's store.
type Store interface {
	queue.Reader
	queue.ChangeFeed
	queue.Decisions
	queue.Holds
	NotRunning(ctx context.Context) ([]gitops.Update, error) // see queue.Rollouts
	ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error)
	Checkpoint(ctx context.Context, name string) (value string, err error)
	Suspects(ctx context.Context) ([]gitops.Suspect, error)
	ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error)
	AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error
	AuditEntries(ctx context.Context, f queue.AuditFilter, p queue.Page) (found []gitops.AuditEntry, next string, err error)
}

// Intake takes orders in; see webhook.Intake.
type Intake interface {
	Accept(ctx context.Context, in webhook.Inbound) (d gitops.Delivery, accepted bool, err error)
	Plan(in webhook.Inbound) (gitops.Delivery, error)
	RecordRejection(ctx context.Context, key gitops.DeliveryKey, remote string, err error)
}

// ManifestReader reads the manifest repository. Safe for concurrent use.
type ManifestReader interface {
	// BranchTags returns the tag of every app in every environment on the branch, as
	// it is now or was a moment ago, and not before a later "written" than any that was
	// asked with before. When the git server does not answer, Problem says so and the
	// rest is as it was when it last did.
	BranchTags(ctx context.Context, written time.Time) BranchTags

	// History returns the tags that an app had in an environment. The error's code
	// is NotFound for what is not configured; else it is the git server's.
	History(ctx context.Context, q HistoryQuery) (History, error)

	// Commit returns what the commit of an update says of itself, and what the update
	// changed in it. The error's code is NotFound for what is not configured or not on
	// the git server; else it is the git server's.
	Commit(ctx context.Context, u gitops.Update) (Commit, error)
}

// BranchTags are the tags on the branch of the manifest repository.
type BranchTags struct {
	AsOf    time.Time     // when the branch was read; zero when it never was
	Problem *gitops.Error // why it could not be read just now

	// Apps are the configured apps by environment, sorted; none when the branch was
	// never read. They are shared, and are not changed any more.
	Apps map[string][]App
}

// Config is what an [API] is made of.
type Config struct {
	Store          Store
	Intake         Intake
	Manifests      ManifestReader
	Access         Authorizer                                                  // who may do what
	Authenticators []Authenticator                                             // asked in this order; the first that knows the token decides
	Environments   []string                                                    // the configured ones, in the order in which they are shown
	Targets        func(file string) []queue.Area                              // the apps and environments that are set in a file; of "" all
	Known          func(after string) (apps iter.Seq[KnownApp], complete bool) // what is known, sorted by key, behind a key; of "" all
	Sources        []string                                                    // every source of deliveries, for ids without one
	Memory         Memory
	Shared         *Shared // with the other APIs of the process; nil where there are none
	Logger         *slog.Logger
	NewID          func() string   // makes a delivery's id for an order without one
	Drain          <-chan struct{} // closed when streams shall end

	Hash    string                  // of the configuration in force, for the audit
	Refused func(gitops.AuditEntry) // told of what callers may not do; nil tells nobody

	Freezes func() *gate.Freezes // those of the configuration
	Pins    acts.Limits          // how long they last
	Holder  string               // names this process in leases
	// AwaitQuiet waits until the pushes have ended that this process had begun before a hold
	// was placed. It returns the ids of what they pushed, and since when there is none; zero
	// when there still is one.
	AwaitQuiet func(ctx context.Context, h gitops.Hold) (underWay []string, quietSince time.Time)
	CheckNames func(environments, apps []string) error // reports a name that is not known; the error's code is Rejected

	// FollowedBy is [gitops.Update.FollowedBy] of an app's updates; nil where none is followed.
	FollowedBy func(environment, app string) string
	// Reported returns how long updates have to run in an environment, where reports say
	// whether they do. The error's code is Conflict where they do not.
	Reported func(environment string) (timeout time.Duration, err error)
	// Verify compares what four places say of an app in an environment, which is configured. A
	// place that does not answer is no error.
	Verify func(ctx context.Context, environment, app string) (verify.Report, error)

	// Unwritable returns why an update could not be written however often it is
	// retried, such as that its app left the configuration; "" when it could.
	Unwritable func(ctx context.Context, u gitops.Update) (why string, err error)
}

// API answers /api/v1. Safe for concurrent use.
type API struct {
	Config
	memory atomic.Pointer[Memory]
}

// New makes an API.
func New(c Config) *API {
	if c.Shared == nil {
		c.Shared = NewShared()
	}
	a := &API{Config: c}
	a.Resize(c.Memory)
	return a
}

// Resize changes what answers may hold from now on: there are more apps, or fewer.
func (a *API) Resize(m Memory) {
	m = m.withDefaults()
	a.memory.Store(&m)
	a.Shared.turns.bound(m.Answers)
}

// Handler answers one request: with a status and a body in JSON, which may be a
// [JSONWriter], or an error for the server's error writer. A status of 0 says that it has answered by itself.
type Handler func(w http.ResponseWriter, r *http.Request) (status int, body any, err error)

// Route is one thing that is served.
type Route struct {
	Method, Pattern string
	Handle          Handler
}

// holdRights are those that place and lift holds, each for its kinds.
var holdRights = []gitops.Right{gitops.RightHold, gitops.RightStop}

// Routes lists all that is served. Patterns have their variables in braces;
// handlers get them by http.Request.PathValue, escaped where the path is.
func (a *API) Routes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/deliveries", a.allow(gitops.RightRead, a.deliveries)},
		{http.MethodGet, "/api/v1/deliveries/{id}", a.allow(gitops.RightRead, a.deliveryByID)},
		{http.MethodGet, "/api/v1/deliveries/{source}/{id}", a.allow(gitops.RightRead, a.delivery)},
		{http.MethodGet, "/api/v1/updates", a.allow(gitops.RightRead, a.updates)},
		{http.MethodPost, "/api/v1/updates", a.order},
		{http.MethodGet, "/api/v1/updates/{id}", a.allow(gitops.RightRead, a.update)},
		{http.MethodGet, "/api/v1/updates/{id}/commit", a.allow(gitops.RightRead, a.commit)},
		{http.MethodPost, "/api/v1/updates/{id}/retry", a.allow(gitops.RightRetry, a.decide(gitops.ActionRetry, "update retry requested"))},
		{http.MethodPost, "/api/v1/updates/{id}/cancel", a.allow(gitops.RightCancel, a.decide(gitops.ActionCancel, "update cancellation requested"))},
		{http.MethodPost, "/api/v1/updates/{id}/dismiss", a.allow(gitops.RightCancel, a.decide(gitops.ActionDismiss, "update dismissed"))},
		{http.MethodPost, "/api/v1/set-aside/{object}/clear", a.allow(gitops.RightRetry, a.clear)},
		{http.MethodGet, "/api/v1/holds", a.allow(gitops.RightRead, a.holdList)},
		{http.MethodPost, "/api/v1/holds", a.act(holdRights, a.placeHold)},
		{http.MethodDelete, "/api/v1/holds/{id}", a.act(holdRights, a.liftHold)},
		{http.MethodPost, "/api/v1/rollbacks", a.authorized(gitops.RightRollback, a.rollback)},
		{http.MethodPost, "/api/v1/health", a.authorized(gitops.RightReport, a.health)},
		{http.MethodGet, "/api/v1/freezes", a.allow(gitops.RightRead, a.freezes)},
		{http.MethodGet, "/api/v1/why", a.allow(gitops.RightRead, a.why)},
		{http.MethodGet, "/api/v1/verify", a.authorized(gitops.RightRead, a.verify)},
		{http.MethodGet, "/api/v1/environments", a.allow(gitops.RightRead, a.environments)},
		{http.MethodGet, "/api/v1/apps", a.allow(gitops.RightRead, a.apps)},
		{http.MethodGet, "/api/v1/history", a.allow(gitops.RightRead, a.history)},
		{http.MethodGet, "/api/v1/audit", a.allow(gitops.RightRead, a.audit)},
		{http.MethodGet, "/api/v1/events", a.allow(gitops.RightRead, a.events)},
	}
}
