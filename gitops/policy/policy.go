// Package policy decides what a delivery means: which updates, or why none. It
// is a pure function of the configuration and the event.
//
// An order (a dispatch) names app, environment and tag; orders that came together are
// planned all or none. Whatever is wrong with them is an error for whoever sent them,
// naming the field and the rule. A push (an
// image that appeared in a registry) names none of them: it means every app with
// that repository, in every environment whose tag rule takes the tag, and where
// that is nothing it is ignored with the reason, rule by rule. Where versions are
// compared, a push only goes up ([gitops.Update.OnlyUp]), and an order goes where it
// says.
package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config is what a [Policy] is made of.
type Config struct {
	Environments map[string]Environment // by name
	Apps         map[string]App         // by name
	MaxUpdates   int                    // most updates that one delivery may mean; 0 is any number

	// MayNameApp and MayNameImage report whether an app of a name, or with an image, may
	// become known that is not among Apps: then what names it waits. nil: none may.
	MayNameApp   func(name string) bool
	MayNameImage func(repository string) bool
	// Problem says why an app cannot be ordered in an environment, where more is known than
	// Apps has. It may be nil.
	Problem func(environment, app string) (why string, ok bool)
	// MoreApps says that apps may come which are not among Apps yet, with rules of their own.
	MoreApps bool
	Memo     *Memo // may be nil
}

// Environment is one environment's part of a [Config].
type Environment struct {
	Tags TagRule
	// Downgrades says that a push may lower an app's version. Otherwise it does not
	// where Tags or the app's has Semver; an order always may.
	Downgrades bool
}

// App is one app's part of a [Config].
type App struct {
	Repository   string            // the image without tag; empty when only orders name the app
	Repositories map[string]string // by environment, where that has another one
	Environments []string          // where the app runs; empty means everywhere
	Tags         TagRule           // must take a tag besides the environment's; empty takes every one
}

// Policy plans deliveries. Immutable, safe for concurrent use.
type Policy struct {
	environments map[string]environment
	apps         map[string]app
	inLowerCase  map[string]string // the apps' names: thousands of deliveries may wait beside thousands of apps
	names        []string          // of environments, sorted: the order in which a push is planned
	byImage      map[imageName][]string
	problem      func(environment, app string) (why string, ok bool) // may be nil
	warnings     []*gitops.Error
	memo         *Memo

	mayNameApp, mayNameImage func(string) bool
}

type environment struct {
	rule       rule
	downgrades bool
}

type app struct {
	image        image
	images       map[string]image // by environment, where that has another one
	environments map[string]bool  // nil means all
	rule         rule             // empty when the app has none of its own
}

// New checks the configuration. Its error joins everything that is wrong, each an
// Invalid error that names the field, as the configuration file spells it.
func New(c Config) (*Policy, error) {
	p := &Policy{
		environments: make(map[string]environment, len(c.Environments)),
		apps:         make(map[string]app, len(c.Apps)),
		inLowerCase:  make(map[string]string, len(c.Apps)),
		names:        slices.Sorted(maps.Keys(c.Environments)),
		byImage:      make(map[imageName][]string),
		mayNameApp:   orNever(c.MayNameApp),
		mayNameImage: orNever(c.MayNameImage),
		problem:      c.Problem,
		memo:         c.Memo,
	}
	if p.memo == nil {
		p.memo = new(Memo)
	}
	p.memo.begin()
	var problems []error
	for _, name := range p.names {
		problems = append(problems, p.addEnvironment(name, c.Environments[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a, warnings, err := p.compileApp("apps."+name, name, c.Apps[name])
		p.apps[name], p.inLowerCase[strings.ToLower(name)] = a, name
		p.register(name, a)
		p.warnings = append(p.warnings, warnings...)
		problems = append(problems, err)
	}
	problems = append(problems, checkCase("environments", maps.Keys(c.Environments)), checkCase("apps", maps.Keys(c.Apps)),
		p.checkDowngrades(c.MoreApps), p.checkFanOut(c.MaxUpdates))
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return p, nil
}

// Warnings are of rules that some tag satisfies, and that are hardly meant as they
// stand. Each is Invalid and names the field.
func (p *Policy) Warnings() []*gitops.Error { return p.warnings }

func (p *Policy) addEnvironment(name string, c Environment) error {
	field := "environments." + name
	rule, warnings, err := p.memo.compile(field+".tags", c.Tags)
	switch {
	case err != nil:
	case rule.empty():
		err = gitops.FieldErrorf(field+".tags", "must have match or semver: an environment that takes every tag takes the wrong one some day")
	case len(warnings) == 0 && rule.takesAny():
		warnings = append(warnings, gitops.FieldErrorf(field+".tags.match", "takes tags as different as %s: every image that is pushed counts as built for this environment; name what its tags have in common, such as main-[0-9a-f]{7,40}",
			strings.Join(unlike, ", ")))
	}
	p.warnings = append(p.warnings, warnings...)
	p.environments[name] = environment{rule: rule, downgrades: c.Downgrades}
	return errors.Join(gitops.CheckName(field, name), err)
}

func (p *Policy) compileApp(field, name string, c App) (a app, warnings []*gitops.Error, err error) {
	problems := []error{gitops.CheckName(field, name)}
	for i, env := range c.Environments {
		if _, ok := p.environments[env]; !ok {
			problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("%s.environments[%d]", field, i),
				"%q is not among the configured environments (%s)", env, strings.Join(p.names, ", ")))
			continue
		}
		if a.environments[env] {
			problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("%s.environments[%d]", field, i), "%q is there twice; remove one", env))
		}
		if a.environments == nil {
			a.environments = make(map[string]bool)
		}
		a.environments[env] = true
	}
	problems = append(problems, p.compileImages(field, c, &a))
	a.rule, warnings, err = p.compileOwn(c.Tags, slices.DeleteFunc(slices.Clone(p.names), func(env string) bool { return !a.runsIn(env) }))
	for i, w := range warnings {
		warnings[i] = gitops.FieldErrorf(field+"."+w.Field, "%s", w.Message)
	}
	return a, warnings, errors.Join(append(problems, gitops.PrefixField(field, err))...)
}

func (a app) runsIn(environment string) bool {
	return a.environments == nil || a.environments[environment]
}

// Plan says what the event means. The delivery comes back with outcome, field,
// reason and updates set; the updates have neither id nor state yet. Of orders each
// has an update, in their order. Where one of them cannot be, all are a delivery that
// was refused, and the error that says so: its code is Rejected and it names each field
// at fault and the rule. A push or a dispatch that needs an app which may become known
// waits, where nothing else is wrong with it; the reason says for which.
func (p *Policy) Plan(e gitops.Event) (gitops.Delivery, error) {
	d := gitops.Delivery{Source: e.Delivery.Source, ID: e.Delivery.ID, Actor: e.Principal.Actor(), Principal: e.Principal.ID(), EventTime: e.Time}
	switch {
	case e.Violation != nil:
		d.Outcome, d.Field, d.Reason = gitops.OutcomeRejected, e.Violation.Field, e.Violation.Message
		return d, e.Violation
	case len(e.Orders) > 0:
		updates, err := p.orders(e.Orders, e.Principal.Dispatch != nil)
		if err != nil {
			d.Outcome, d.Field, d.Reason = gitops.OutcomeRejected, err.Field, err.Message
			return d, err
		}
		d.Outcome, d.Updates = gitops.OutcomeAccepted, updates
		p.awaitApp(&d, e.Orders)
	case e.Push != nil && p.awaitsImage(*e.Push):
		d.Outcome, d.Reason = gitops.OutcomeWaiting, noAppWith(*e.Push)+", and none was discovered yet"
	case e.Push != nil && e.Push.For != nil:
		d.Updates, d.Reason = p.found(*e.Push)
		d.Outcome = outcomeOf(d.Updates)
	case e.Push != nil:
		d.Updates, d.Reason = p.push(*e.Push)
		d.Outcome = outcomeOf(d.Updates)
	default:
		d.Outcome, d.Reason = gitops.OutcomeIgnored, e.IgnoreReason
	}
	return d, nil
}

// outcomeOf is that of a push.
func outcomeOf(updates []gitops.Update) gitops.Outcome {
	if len(updates) == 0 {
		return gitops.OutcomeIgnored
	}
	return gitops.OutcomeAccepted
}

// push finds every (environment, app) that an image in a registry is for. The
// reason has a sentence for every environment that was left out.
func (p *Policy) push(e gitops.ImagePush) ([]gitops.Update, string) {
	if e.Tag == "" {
		return nil, "the image was pushed without a tag"
	}
	image := nameOfPush(e)
	apps := p.byImage[image]
	if len(apps) == 0 {
		return nil, noAppWith(e)
	}
	if why := unusable(e); why != "" {
		return nil, why
	}
	var updates []gitops.Update
	var reasons []string
	for _, env := range p.names {
		if why := p.environments[env].rule.refuses(e.Tag); why != "" {
			reasons = append(reasons, env+": "+why)
			continue
		}
		for _, name := range apps {
			if why := p.notThere(image, env, name); why != "" {
				reasons = append(reasons, env+": "+why)
				continue
			}
			if why := p.refuses(env, name, e.Tag); why != "" { // by the app's own rule
				reasons = append(reasons, env+": "+why)
				continue
			}
			updates = append(updates, p.pushed(e, env, name, p.onlyUp(env, name)))
		}
	}
	return updates, strings.Join(reasons, "; ")
}

// pushed is the update that an image means for an app in an environment.
func (p *Policy) pushed(e gitops.ImagePush, environment, app string, onlyUp bool) gitops.Update {
	return gitops.Update{
		Environment: environment, App: app, Repository: p.apps[app].imageIn(environment).repository, Tag: e.Tag, Digest: e.Digest, OnlyUp: onlyUp,
	}
}

// unusable says why the image is nothing to release anywhere.
func unusable(e gitops.ImagePush) string {
	if err := gitops.CheckTag("detail.image-tag", e.Tag); err != nil {
		return gitops.PublicOf(err)
	}
	if err := gitops.CheckDigest("detail.image-digest", e.Digest); err != nil {
		return gitops.PublicOf(err)
	}
	return ""
}

// clip bounds text of a payload inside a reason.
func clip(text string) string { return gitops.Clip(text, 300) }
