package config

import (
	"errors"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// setDefaults is the only place where a default stands.
func (c *Config) setDefaults() {
	byDefault(&c.Listen, ":8080")
	byDefault(&c.AdminListen, "127.0.0.1:9090")
	byDefault(&c.ProbeListen, ":8081")
	byDefault(&c.Log.Level, "info")
	byDefault(&c.Log.Format, "json")
	byDefault(&c.Shutdown.Deadline, 25*time.Second)
	byDefault(&c.Limits.RefusedPerMinute, 300)
	byDefault(&c.Limits.File.Bytes, 1<<20)
	byDefault(&c.Lease, 30*time.Second)
	byDefault(&c.Backup.Every, 24*time.Hour)
	byDefault(&c.Backup.Keep, 7)
	byDefault(&c.Retention.Keep, 90*24*time.Hour)
	byDefault(&c.Holds.PinFor, 72*time.Hour)
	byDefault(&c.Holds.PinAtMost, 720*time.Hour)
	for name, r := range c.Repositories {
		r.inherit(c.Manifests)
		c.Repositories[name] = r
	}
	c.Manifests.setDefaults()
	byDefault(&c.File, "charts/{app}/values-{env}.yaml")
	if c.Set == nil {
		c.Set, _ = presetSets("helm")
	}
	if s := c.Sources.GitHub; s != nil && s.EventTypes == nil {
		s.EventTypes = []string{"update-image"}
	}
	if s := c.Sources.EventBridge; s != nil {
		byDefault(&s.Auth, "apiKey")
		byDefault(&s.Header, "X-Tallyman-Key")
		byDefault(&s.Username, "tallyman")
	}
	if s := c.API.OIDC; s != nil {
		byDefault(&s.MaxAge, 10*time.Minute)
		if s.Issuers == nil {
			s.Issuers = []string{"https://token.actions.githubusercontent.com"}
		}
	}
	for i := range c.ArgoCD {
		c.ArgoCD[i].URL = strings.TrimRight(c.ArgoCD[i].URL, "/") // one spelling: an instance is known by it
	}
	for i := range c.Discover {
		byDefault(&c.Discover[i].Manifests, DefaultRepository)
	}
	for i := range c.Access {
		if job := c.Access[i].Who.Job; job != nil && job.Events == nil {
			job.Events = []string{"push", "workflow_dispatch", "release"}
		}
	}
	for i := range c.Notify {
		if c.Notify[i].Kinds == nil {
			c.Notify[i].Kinds = []string{"failed", "degraded", "reverted", "frozen"}
		}
	}
	for name, env := range c.Environments {
		env.setWriteDefaults()
		byDefault(&env.Coalesce, "none")
		byDefault(&env.Downgrades, "supersede")
		byDefault(&env.Commits, "one-per-update")
		byDefault(&env.HandEdits, "respect")
		byDefault(&env.AfterHold, "newest")
		env.Image.setDefaults()
		env.Rollout.setDefaults(len(c.ArgoCD) > 0)
		c.Environments[name] = env
	}
}

func byDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check reports everything that is wrong with values by themselves. What needs
// more (a tag rule, a key, a secret's file) is checked by the part that uses it,
// which names the field the same way.
func (c *Config) check() error {
	var problems []error
	report := func(field, format string, args ...any) {
		problems = append(problems, gitops.FieldErrorf(field, format, args...))
	}
	c.checkListeners(report)
	c.checkStore(report)
	// Senders send again, and people redeliver, within days: what was forgotten
	// would be taken for new.
	if c.Retention.Keep < 7*24*time.Hour {
		report("retention.keep", "must be at least 168h: a delivery that comes again must still be known")
	}
	c.Backup.check(report)
	checkWords(report, "", reflect.ValueOf(*c))
	if c.Shutdown.Deadline < time.Second {
		report("shutdown.deadline", "must be at least 1s")
	}
	if c.Lease < 3*time.Second || c.Lease > 10*time.Minute {
		report("lease", "must be 3s to 10m")
	}
	if n := c.Limits.RefusedPerMinute; n < 1 || n > 1_000_000 {
		report("limits.refusedPerMinute", "must be 1 to 1000000")
	}
	if n := c.Limits.File.Bytes; n < 1<<10 || n > values.MaxFile {
		report("limits.file.bytes", "must be 1KiB to 5MiB")
	}
	if n := c.Limits.File.Nodes; n < 0 || n > values.MaxNodes {
		report("limits.file.nodes", "must be 1 to 400000")
	}
	c.checkRepositories(report)
	c.checkSources(report)
	c.checkAPI(report)
	checkFile(report, "file", c.File)
	checkAlso(report, "also", c.Also)
	if len(c.Environments) == 0 {
		report("environments", "must name at least one environment")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		env, field := c.Environments[name], "environments."+name
		checkFile(report, field+".file", env.File)
		checkAlso(report, field+".also", env.Also)
	}
	c.checkImages(report)
	c.checkPullRequests(report)
	c.checkRollouts(report)
	c.checkHolds(report)
	c.checkNotify(report)
	c.checkDiscover(report)
	if len(c.Apps) == 0 && len(c.Discover) == 0 {
		report("apps", "must name at least one app, or discover must find them")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		app, field := c.Apps[name], "apps."+name
		checkFile(report, field+".file", app.File)
		if app.Tags != nil && *app.Tags == (Tags{}) {
			report(field+".tags", "must have match or semver; without the field the app's tags are those that its environments take")
		}
		checkAlso(report, field+".also", app.Also)
		checkSource(report, field+".source", app.Source, false)
		// Whoever takes the last name out of a list does not mean all of them.
		if app.Environments != nil && len(app.Environments) == 0 {
			report(field+".environments", "must name at least one environment; without the field the app is in all of them")
		}
	}
	return errors.Join(problems...)
}

func (c *Config) checkSources(report func(field, format string, args ...any)) {
	s := c.Sources
	if s.GitHub == nil && s.EventBridge == nil && s.SNS == nil && c.API.OIDC == nil && len(c.API.Tokens) == 0 && !c.polls() {
		report("sources", "must have github, eventbridge or sns, unless api.oidc or api.tokens has orders sent, or an environment has image.poll: otherwise nothing ever arrives")
	}
}

// checkFile checks the path that a file template makes of any app and
// environment; their names hold neither a slash nor "..".
func checkFile(report func(field, format string, args ...any), field, template string) {
	if template == "" {
		return // the next wider one counts
	}
	file := Expand(template, "app", "env")
	if strings.ContainsAny(file, "{}") {
		report(field, "knows only {app} and {env} in braces")
	} else if path.Clean(file) != file || path.IsAbs(file) || file == "." || file == ".." || strings.HasPrefix(file, "../") || strings.Contains(file, `\`) {
		report(field, "must be a path from the repository's root, with / and without . or ..")
	} else if slices.ContainsFunc(strings.Split(file, "/"), func(name string) bool { return strings.EqualFold(name, ".git") }) {
		report(field, "must not lie in .git")
	} else if strings.ContainsFunc(file, unicode.IsControl) {
		report(field, "must not have control characters")
	}
}

// Expand fills a file template. It is called for each app in each environment, so
// it makes no strings.Replacer, which costs much more than it saves here.
func Expand(template, app, environment string) string {
	var path strings.Builder
	path.Grow(len(template) + len(app) + len(environment))
	for {
		before, rest, found := strings.Cut(template, "{")
		path.WriteString(before)
		if !found {
			return path.String()
		}
		switch {
		case strings.HasPrefix(rest, "app}"):
			path.WriteString(app)
			template = rest[len("app}"):]
		case strings.HasPrefix(rest, "env}"):
			path.WriteString(environment)
			template = rest[len("env}"):]
		default:
			path.WriteByte('{')
			template = rest
		}
	}
}

// checkStore looks at the form of the store's address; what may be in one of
// PostgreSQL the store itself knows.
func (c *Config) checkStore(report func(field, format string, args ...any)) {
	path, isFile := c.StoreFile()
	switch {
	case c.Store == "":
		report("store", "is missing: sqlite:// and the absolute path of a file, or postgres:// and a database")
	case isFile && !filepath.IsAbs(path):
		report("store", "must be sqlite:// and the absolute path of a file, such as sqlite:///var/lib/tallyman/tallyman.db")
	case isFile && c.StorePasswordFile != "":
		report("storePasswordFile", "is for a store of PostgreSQL: a file has no password")
	case !isFile && !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://"):
		report("store", "must be sqlite:// and the absolute path of a file, or postgres:// and a database")
	}
}

// StoreFile is the file that store names; false when it names a database of
// PostgreSQL.
func (c *Config) StoreFile() (path string, ok bool) { return strings.CutPrefix(c.Store, "sqlite://") }
