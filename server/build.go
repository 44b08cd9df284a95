package server

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/limits"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// target names where the updates of one app in one environment go.
type target struct {
	environment, app string
}

// fileEdits are what updates of a target edit, all of them or none, as the writer takes
// them: each editor is a [*values.Edit]. The first file holds the app's tag.
type fileEdits []manifest.FileEdit

// edit is that of one of the files.
func (e fileEdits) edit(i int) *values.Edit { return e[i].Editor.(*values.Edit) }

// has reports whether a path is that of one of the files.
func (e fileEdits) has(path string) bool {
	return slices.ContainsFunc(e, func(f manifest.FileEdit) bool { return f.File == path })
}

// parts is what a configuration turns into: everything that can be wrong with it
// is found here, before a store is opened or a port is bound.
type parts struct {
	policy    *policy.Policy
	access    *access.List
	shares    budget.Shares // of the process's memory
	snapshot  int64         // bytes of one state of the branch
	limits    *limits.Limits
	receivers map[string]webhook.Receiver // by route
	targets   map[target]fileEdits
	files     []string // that updates can change; its identity is compared, see manifest.Config.Files
	tokens    []api.Token
	jobs      *jobVerifier // nil unless jobs of GitHub Actions are authenticated
	warnings  []*gitops.Error
}

// filesOf are the files that updates of targets can change.
func filesOf(targets map[target]fileEdits) []string {
	paths := make(map[string]bool)
	for _, to := range targets {
		for _, f := range to {
			paths[f.File] = true
		}
	}
	return slices.Collect(maps.Keys(paths))
}

// targetsIn are the apps and environments that are set in a file, sorted; of "" all that
// there are.
func (p parts) targetsIn(file string) (areas []queue.Area) {
	for at, to := range p.targets {
		if file == "" || to.has(file) {
			areas = append(areas, queue.Area{Environment: at.environment, App: at.app})
		}
	}
	slices.SortFunc(areas, func(a, b queue.Area) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.App, b.App))
	})
	return areas
}

// build makes the parts. Its error joins all that was found, each naming its
// field.
func build(c config.Config, logger *slog.Logger) (parts, error) {
	var problems []error
	keep := func(err error) { problems = append(problems, err) }

	keep(checkAddress(c))
	keep(checkFanOut(c))
	keep(checkNamed(c))
	list, err := buildAccess(c)
	keep(err)
	p, err := buildPolicy(c)
	keep(err)
	warnings := append(checkSecretModes(c), checkExpired(c.API, now())...)
	if p != nil {
		warnings = append(warnings, p.Warnings()...)
	}
	if list != nil {
		outside, err := checkReach(c, list)
		keep(err)
		warnings = slices.Concat(warnings, outside, list.Warnings())
	}
	receivers, err := buildReceivers(c.Sources, logger)
	keep(err)
	tokens, tokenProblems := buildTokens(c.API)
	problems = append(problems, tokenProblems...)
	shares, sharesErr := budget.Read(int64(c.Limits.Memory), memoryLimit())
	keep(sharesErr)
	var file values.Limits
	var snapshot int64
	if sharesErr == nil {
		file, snapshot, err = fileLimits(c.Limits, shares)
		keep(err)
	}
	targets, err := buildTargets(c, file)
	keep(err)
	bounds, err := limits.New(limits.Config{
		TrustedProxies: c.Limits.TrustedProxies, RefusedPerMinute: c.Limits.RefusedPerMinute,
		Connections: c.Limits.Connections, ConnectionsPerAddress: c.Limits.ConnectionsPerAddress,
		Shares: shares, Logger: logger,
	})
	keep(gitops.PrefixField("limits", err))
	jobs, err := buildJobs(c.API.OIDC, logger)
	keep(err)
	return parts{policy: p, access: list, shares: shares, snapshot: snapshot, limits: bounds, receivers: receivers, targets: targets, files: filesOf(targets), tokens: tokens, jobs: jobs, warnings: warnings}, errors.Join(problems...)
}

// memoryLimit is that of the environment for the runtime of Go. One that this program
// set itself, for an earlier server in the same process, does not count.
func memoryLimit() int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		return math.MaxInt64
	}
	return debug.SetMemoryLimit(-1)
}

func buildPolicy(c config.Config) (*policy.Policy, error) {
	p := policy.Config{Environments: map[string]policy.Environment{}, Apps: map[string]policy.App{}, MaxUpdates: queue.MaxUpdates}
	for name, env := range c.Environments {
		p.Environments[name] = policy.Environment{Tags: policy.TagRule(env.Tags), Downgrades: env.Downgrades == "allow"}
	}
	for name, app := range c.Apps {
		p.Apps[name] = policy.App{Repository: app.Repository, Repositories: app.Repositories, Environments: app.Environments}
	}
	return policy.New(p)
}

// checkFanOut refuses what one image would mean beyond the updates that a delivery
// may have: its push could never be accepted.
func checkFanOut(c config.Config) error {
	updates := fanOut(c)
	var problems []error
	for _, repository := range slices.Sorted(maps.Keys(updates)) {
		if n := updates[repository]; n > queue.MaxUpdates {
			problems = append(problems, gitops.FieldErrorf("apps", "one image of %s would mean %d updates, and a delivery may have %d: give its apps fewer environments",
				repository, n, queue.MaxUpdates))
		}
	}
	return errors.Join(problems...)
}

// fanOut is how many updates one image means at most, by its repository.
func fanOut(c config.Config) map[string]int {
	updates := make(map[string]int)
	for _, w := range wanted(c) {
		if w.Repository != "" {
			updates[w.Repository]++
		}
	}
	return updates
}

// environmentsOf is how many environments have the app.
func environmentsOf(c config.Config, app config.App) int {
	if len(app.Environments) == 0 {
		return len(c.Environments)
	}
	return len(app.Environments)
}

// newHolder names this process in leases: the host, for people, and something no
// other process has.
func newHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "tallyman"
	}
	return host + "/" + uuid.NewString()[:8]
}

func now() time.Time { return time.Now().UTC() }
