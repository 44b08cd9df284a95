// Package access decides who may do what: one list of rules, and one pure function
// that every way in asks.
//
// A rule says who (a registry's events, a repository's dispatches, its jobs, a
// token, what tallyman finds in a registry, tallyman where it reverts) may do what to which apps in which environments. Rules only ever allow.
// What no rule allows is forbidden, so nothing is open by default, and the order of
// the rules decides nothing but which of two that allow the same is named.
package access

import (
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rule allows something. Everything that it names must hold.
type Rule struct {
	Who          Who
	May          []gitops.Right // at least one
	Apps         []string       // names, or "*" for all; for a token nil is all
	Environments []string       // the same
}

// Who is one kind of principal. Exactly one field is set.
type Who struct {
	Push     *Push
	Dispatch *Dispatch
	Job      *Job
	Token    string // its name
	Poll     *Poll
	Revert   bool // tallyman itself, which goes back from what does not run
}

// Push is the events of a registry.
type Push struct {
	Source   string   // "eventbridge" or "sns"; required
	Accounts []string // of AWS; none is any
	Regions  []string // of AWS; none is any
	Topics   []string // ARNs, of sns; none is any that is configured
}

// Poll is what tallyman itself finds in registries.
type Poll struct {
	Registries []string // hosts, host or host:port; at least one
}

// Dispatch is the dispatches of one GitHub repository.
type Dispatch struct {
	Repository     string   // owner/name, for people: what counts is the number
	RepositoryID   int64    // required: GitHub never gives a number out again
	InstallationID int64    // of the App on it; 0 is any
	Senders        []string // logins; none is whoever may write the repository
	SenderIDs      []int64  // their numbers: a login is given out again
}

// Job is the jobs of GitHub Actions of one repository. Numbers are as GitHub writes
// them in its claims.
type Job struct {
	Issuer            string        // whose numbers they are; may be left out where there is one issuer
	Repository        string        // owner/name, for people: what counts are the numbers
	RepositoryID      string        // required
	OwnerID           string        // required
	Refs              []string      // patterns of refs/heads/... and refs/tags/...; * is anything but a slash; at least one
	RefProtected      bool          // a branch protection or a ruleset must cover the ref
	GitHubEnvironment string        // that the job must run in, past its protection rules; "" is any or none
	Workflows         []string      // paths of the workflows that were started; none is any
	JobWorkflows      []JobWorkflow // files that the job must be in; none is any
	Events            []string      // that started the workflow; at least one
	RunnerEnvironment string        // "github-hosted" or "self-hosted"; "" is any
	ActorIDs          []string      // numbers of who started the run; none is anybody
}

// JobWorkflow is a file that a job is in, as a reusable workflow's.
type JobWorkflow struct {
	Ref string // OWNER/NAME/.github/workflows/FILE@REF
	SHA string // the commit that it must be of; "" is any
}

// Config is what a [List] is made of: the rules, and the names that they may use.
type Config struct {
	Rules        []Rule
	Environments []string            // those that are configured
	Apps         map[string][]string // those that are configured, with their environments; none is all
	MayKnow      func(string) bool   // whether an app that is not among Apps may come to be known; nil: none may
	Sources      []string            // those that are configured: "github", "eventbridge", "sns"
	Topics       []string            // of the source sns
	Tokens       []string            // names
	Issuers      []string            // of jobs' tokens
	// Polled are the registries that are polled, by the environment that wants it. An environment
	// without apps has an empty list.
	Polled map[string][]string
	// Reverted are the environments in which tallyman goes back from what does not run.
	Reverted []string
}

// mayKnow reports whether an app may come to be known.
func (c Config) mayKnow(app string) bool { return c.MayKnow != nil && c.MayKnow(app) }

// List is the rules. Immutable, safe for concurrent use.
type List struct {
	config Config
	rules  []*rule
	byWho  map[key][]*rule
}

// rule is a [Rule] with what its decisions need.
type rule struct {
	Rule
	name         string          // "access[3]"
	issuer       string          // of Job
	apps         map[string]bool // nil is all
	environments map[string]bool // nil is all

	right condition   // on what is to be done
	where []condition // on the app and the environment
	who   []condition // on who asks, beyond the key
}

// New checks the rules. Its error joins everything that is wrong, each an Invalid
// error that names its field, as in "access[3].who.job.refs".
func New(c Config) (*List, error) {
	l := &List{config: c, byWho: make(map[key][]*rule)}
	known := newNames(c)
	var problems []error
	for i, source := range c.Rules {
		r := &rule{Rule: source, name: fmt.Sprintf("access[%d]", i), apps: setOf(source.Apps), environments: setOf(source.Environments)}
		if source.Who.Job != nil {
			r.issuer = issuerOf(*source.Who.Job, c.Issuers)
		}
		problems = append(problems, known.check(r)...)
		r.right, r.where, r.who = r.rightCondition(), r.whereConditions(), r.whoConditions()
		l.rules = append(l.rules, r)
		l.byWho[r.key()] = append(l.byWho[r.key()], r)
	}
	problems = append(problems, l.checkUnnamed()...)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return l, nil
}

// setOf is the names of a list as a set; nil where they are all.
func setOf(names []string) map[string]bool {
	if names == nil {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, name := range names {
		if name == all {
			return nil
		}
		set[name] = true
	}
	return set
}

// all stands in a rule for every app, or every environment.
const all = "*"

// Authorize returns the rule that allows a principal to do something to an app in an
// environment, as in "access[3]". The error's code is Forbidden, and its sentence
// names who asked, for what, the nearest rule, what of it does not hold, and the way
// out. An empty app or environment is all of them, which a rule allows that names none.
func (l *List) Authorize(p gitops.Principal, right gitops.Right, app, environment string) (string, error) {
	asked := request{principal: p, right: right, app: app, environment: environment}
	for _, r := range l.byWho[keyOf(p)] {
		if r.allows(asked) {
			return r.name, nil
		}
	}
	return "", l.refusal(asked)
}

// AuthorizeAnywhere returns nil when there is anything that a principal has the right
// to, and else an error as Authorize does.
func (l *List) AuthorizeAnywhere(p gitops.Principal, right gitops.Right) error {
	asked := request{principal: p, right: right, anywhere: true}
	for _, r := range l.byWho[keyOf(p)] {
		if r.allows(asked) {
			return nil
		}
	}
	return l.refusal(asked)
}

// request is a question to the list.
type request struct {
	principal        gitops.Principal
	right            gitops.Right
	app, environment string
	anywhere         bool // any app and environment will do
}

// key finds the rules that can be for a principal, without a look at all others.
type key struct {
	kind gitops.PrincipalKind
	// The source of push, the issuer of job, the name of token. A rule for polls may name
	// several registries, so all of those rules are looked at.
	name string
	// The numbers of dispatch and of job.
	repository int64
	job, owner string
}

func keyOf(p gitops.Principal) key {
	k := key{kind: p.Kind()}
	switch k.kind {
	case gitops.KindPush:
		k.name = p.Push.Source
	case gitops.KindDispatch:
		k.repository = p.Dispatch.RepositoryID
	case gitops.KindJob:
		k.name, k.job, k.owner = p.Job.Issuer, p.Job.RepositoryID, p.Job.OwnerID
	case gitops.KindToken:
		k.name = p.Token
	}
	return k
}

func (r *rule) key() key {
	switch w := r.Who; {
	case w.Push != nil:
		return key{kind: gitops.KindPush, name: w.Push.Source}
	case w.Dispatch != nil:
		return key{kind: gitops.KindDispatch, repository: w.Dispatch.RepositoryID}
	case w.Job != nil:
		return key{kind: gitops.KindJob, name: r.issuer, job: w.Job.RepositoryID, owner: w.Job.OwnerID}
	case w.Poll != nil:
		return key{kind: gitops.KindPoll}
	case w.Revert:
		return key{kind: gitops.KindRevert}
	default:
		return key{kind: gitops.KindToken, name: w.Token}
	}
}
