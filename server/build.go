package server

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/limits"
	"github.com/tallyman-dev/tallyman/server/oidc"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// target names where the updates of one app in one environment go.
type target struct {
	environment, app string
}

// fileEdit is what updates of a target do: an edit of a file.
type fileEdit struct {
	file string // its path in the repository
	edit *values.Edit
}

// parts is what a configuration turns into: everything that can be wrong with it
// is found here, before a store is opened or a port is bound.
type parts struct {
	policy    *policy.Policy
	limits    *limits.Limits
	receivers map[string]webhook.Receiver // by route
	targets   map[target]fileEdit
	tokens    []api.Token
	jobs      *oidc.Verifier // nil unless jobs of GitHub Actions may order
}

// files are the files that updates can change.
func (p parts) files() []string {
	files := make(map[string]bool)
	for _, t := range p.targets {
		files[t.file] = true
	}
	return slices.Collect(maps.Keys(files))
}

// build makes the parts. Its error joins all that was found, each naming its
// field.
func build(c config.Config, logger *slog.Logger) (parts, error) {
	var problems []error
	keep := func(err error) { problems = append(problems, err) }

	keep(checkAddress(c))
	keep(checkFanOut(c))
	p, err := buildPolicy(c)
	keep(err)
	receivers, err := buildReceivers(c.Sources, logger)
	keep(err)
	targets, err := buildTargets(c)
	keep(err)
	tokens, tokenProblems := buildTokens(c.API)
	problems = append(problems, tokenProblems...)
	bounds, err := limits.New(limits.Config(c.Limits))
	keep(gitops.PrefixField("limits", err))
	jobs, err := buildJobs(c.API.OIDC, logger)
	keep(err)
	return parts{policy: p, limits: bounds, receivers: receivers, targets: targets, tokens: tokens, jobs: jobs}, errors.Join(problems...)
}

func buildPolicy(c config.Config) (*policy.Policy, error) {
	p := policy.Config{Environments: map[string]policy.Environment{}, Apps: map[string]policy.App{}, MaxUpdates: queue.MaxUpdates}
	for name, env := range c.Environments {
		p.Environments[name] = policy.Environment{Tags: policy.TagRule(env.Tags)}
	}
	for name, app := range c.Apps {
		p.Apps[name] = policy.App{Repository: app.Repository, Environments: app.Environments}
	}
	return policy.New(p)
}

// buildTargets compiles the edit of every app in every environment.
func buildTargets(c config.Config) (map[target]fileEdit, error) {
	updates := 0
	for _, app := range c.Apps {
		updates += environmentsOf(c, app)
	}
	targets := make(map[target]fileEdit, updates)
	problems := make(map[string]error)         // by field: one wrong key is one problem, not one for each app
	writes := make(map[string]target, updates) // by file and key
	edits := make(edits)
	everywhere := slices.Sorted(maps.Keys(c.Environments))
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app := c.Apps[name]
		environments := app.Environments
		if len(environments) == 0 {
			environments = everywhere
		}
		for _, environment := range environments {
			t := c.Target(environment, name)
			sets := bind(t, name, app.Repository)
			edit, err := edits.compile(t.Field, sets)
			if err != nil {
				if problems[err.Field] == nil {
					problems[err.Field] = err
				}
				continue
			}
			here := target{environment, name}
			targets[here] = fileEdit{t.File, edit}
			if err := claimKeys(writes, here, t, sets); err != nil && problems[err.Field] == nil {
				problems[err.Field] = err
			}
		}
	}
	sorted := slices.Sorted(maps.Keys(problems))
	joined := make([]error, len(sorted))
	for i, field := range sorted {
		joined[i] = problems[field]
	}
	return targets, errors.Join(joined...)
}

// claimKeys notes what the updates of one target write, and rejects what another
// writes already: a tag of dev would end up in prod's place.
func claimKeys(writes map[string]target, here target, t config.Target, sets []values.Target) *gitops.Error {
	for _, set := range sets {
		place := t.File + "\x00" + set.Key
		if other, taken := writes[place]; taken {
			return gitops.FieldErrorf(t.Field, "updates of %s in %s and of %s in %s would both set %s in %s: give them different files or keys",
				other.app, other.environment, here.app, here.environment, set.Key, t.File)
		}
		writes[place] = here
	}
	return nil
}

// checkFanOut refuses what one image would mean beyond the updates that a delivery
// may have: its push could never be accepted.
func checkFanOut(c config.Config) error {
	updates := make(map[string]int) // by repository
	for _, app := range c.Apps {
		if app.Repository != "" {
			updates[app.Repository] += environmentsOf(c, app)
		}
	}
	var problems []error
	for _, repository := range slices.Sorted(maps.Keys(updates)) {
		if n := updates[repository]; n > queue.MaxUpdates {
			problems = append(problems, gitops.FieldErrorf("apps", "one image of %s would mean %d updates, and a delivery may have %d: give its apps fewer environments",
				repository, n, queue.MaxUpdates))
		}
	}
	return errors.Join(problems...)
}

// environmentsOf is how many environments have the app.
func environmentsOf(c config.Config, app config.App) int {
	if len(app.Environments) == 0 {
		return len(c.Environments)
	}
	return len(app.Environments)
}

func bind(t config.Target, app, repository string) []values.Target {
	sets := make([]values.Target, len(t.Set))
	for i, s := range t.Set {
		sets[i] = values.Target{Key: s.Key, Value: s.Value, Create: s.Create}
	}
	return values.Bind(sets, app, repository)
}

// edits are compiled edits by what they set. Most apps set the same key: it is
// compiled once, and every target has the same edit, not 8,000 of them.
type edits map[string]*values.Edit

// compile compiles what the field says to set.
func (all edits) compile(field string, sets []values.Target) (*values.Edit, *gitops.Error) {
	what := identify(sets)
	if edit, ok := all[what]; ok {
		return edit, nil
	}
	edit, err := values.Compile(sets)
	var e *gitops.Error
	if errors.As(err, &e) {
		e.Field = field + e.Field
		return nil, e
	}
	all[what] = edit
	return edit, nil
}

// identify is a text that no other targets have.
func identify(sets []values.Target) string {
	var text []byte
	for _, set := range sets {
		text = strconv.AppendQuote(text, set.Key)
		text = strconv.AppendQuote(text, set.Value)
		text = strconv.AppendBool(text, set.Create)
	}
	return string(text)
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
