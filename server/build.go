package server

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/limits"
	"github.com/tallyman-dev/tallyman/server/notify"
	"github.com/tallyman-dev/tallyman/server/poll"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// parts is what a configuration turns into: everything that can be wrong with it
// is found here, before a store is opened or a port is bound.
type parts struct {
	first     *known // the apps that are known at first
	within    values.Limits
	access    *access.List
	freezes   *gate.Freezes
	shares    budget.Shares // of the process's memory
	snapshot  int64         // bytes of one state of the branch
	limits    *limits.Limits
	images    map[string]image.Rules      // by environment; those whose images are not inspected are not in it
	polled    map[string]poll.Environment // by environment, of those that poll
	receivers map[string]webhook.Receiver // by route
	tokens    []api.Token
	notifiers []notify.Notifier
	reverts   bool         // some environment goes back from what fails
	jobs      *jobVerifier // nil unless jobs of GitHub Actions are authenticated
	warnings  []*gitops.Error
}

// build makes the parts of the first configuration. Its error joins all that was found, each naming its
// field.
func build(c config.Config, logger *slog.Logger) (parts, error) { return buildAfter(nil, c, logger) }

// buildAfter makes the parts of a configuration that takes the place of another's, or of
// none's. What was found on branches is kept.
func buildAfter(before *generation, c config.Config, logger *slog.Logger) (parts, error) {
	var problems []error
	keep := func(err error) { problems = append(problems, err) }

	keep(checkAddress(c))
	shares, sharesErr := budget.Read(int64(c.Limits.Memory), memoryLimit())
	keep(sharesErr)
	var file values.Limits
	var snapshot int64
	if sharesErr == nil {
		var err error
		file, snapshot, err = fileLimits(c.Limits, shares, 1+len(c.Repositories))
		keep(err)
	}
	warnings := append(checkSecretModes(c), checkExpired(c.API, now())...)
	looks, err := buildLooks(c, file, before)
	keep(err)
	list, err := buildAccess(c, looks)
	keep(err)
	freezes, err := buildFreezes(c, looks)
	keep(err)
	apps, err := newKnown(catalog.Input{Config: c, Looks: looks, Within: file, Before: before.catalog(), Memo: before.memo()})
	keep(err)
	if apps.policy != nil {
		warnings = append(warnings, apps.policy.Warnings()...)
	}
	if list != nil {
		outside, err := checkReach(c, list, apps.Targets())
		keep(err)
		warnings = slices.Concat(warnings, outside, list.Warnings())
	}
	keep(checkProposing(c, apps.Targets()))
	keep(checkSources(c))
	keep(checkRegistries(c))
	images, err := buildImageRules(c)
	keep(err)
	receivers, err := buildReceivers(c.Sources, logger)
	keep(err)
	notifiers, err := buildNotifiers(c)
	keep(err)
	tokens, tokenProblems := buildTokens(c.API)
	problems = append(problems, tokenProblems...)
	bounds, err := limits.New(limits.Config{
		TrustedProxies: c.Limits.TrustedProxies, RefusedPerMinute: c.Limits.RefusedPerMinute,
		Connections: c.Limits.Connections, ConnectionsPerAddress: c.Limits.ConnectionsPerAddress,
		Shares: shares, Logger: logger,
	})
	keep(gitops.PrefixField("limits", err))
	jobs, err := buildJobs(c.API.OIDC, logger)
	keep(err)
	return parts{first: apps, within: file, access: list, freezes: freezes, images: images, polled: buildPolled(c), shares: shares, snapshot: snapshot, limits: bounds, receivers: receivers, tokens: tokens, notifiers: notifiers, reverts: len(reverted(c)) > 0, jobs: jobs, warnings: warnings}, errors.Join(problems...)
}

// memoryLimit is that of the environment for the runtime of Go. One that this program
// set itself, for an earlier server in the same process, does not count.
func memoryLimit() int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		return math.MaxInt64
	}
	return debug.SetMemoryLimit(-1)
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
