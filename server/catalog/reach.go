package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	names "github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// checkFanOut refuses what one image would mean beyond the updates that a delivery
// may have: its push could never be accepted. Of found apps nobody can say which is one
// too many, so all that have the image are refused.
func (b *builder) checkFanOut() error {
	byImage := make(map[string][]*wanted)
	for _, w := range b.all {
		if w.ok && w.Image != "" {
			image := b.image(w.Image).same
			byImage[image] = append(byImage[image], w)
		}
	}
	var problems []error
	for _, image := range slices.Sorted(maps.Keys(byImage)) {
		all := byImage[image]
		if len(all) <= queue.MaxUpdates {
			continue
		}
		found := slices.DeleteFunc(slices.Clone(all), func(w *wanted) bool { return w.found == nil })
		for _, w := range found {
			b.refuse(w, fmt.Sprintf("one image of %s would mean %d updates, and a delivery may have %d: give its apps fewer environments, or images of their own",
				image, len(all), queue.MaxUpdates))
		}
		if n := len(all) - len(found); n > queue.MaxUpdates {
			problems = append(problems, gitops.FieldErrorf("apps", "one image of %s would mean %d updates, and a delivery may have %d: give its apps fewer environments",
				image, n, queue.MaxUpdates))
		}
	}
	return errors.Join(problems...)
}

// image is what is known of an image's name.
type image struct {
	same    string // the same for all names of one image
	problem string // what is wrong with the name; "" when nothing is
}

func newImage(repository string) (i image) {
	if err := policy.CheckRepository("", repository); err != nil {
		i.problem = gitops.PublicOf(err)
	}
	i.same = names.Canonical(repository)
	return i
}

// image is what is known of an image's name: most are those of the catalog before.
func (b *builder) image(repository string) image {
	i, met := b.images[repository]
	if !met && b.Before != nil {
		i, met = b.Before.images[repository]
	}
	if !met {
		i = newImage(repository)
	}
	b.images[repository] = i
	return i
}

// checkNamed wants a repository for every app whose updates write its name.
func (b *builder) checkNamed() error {
	var problems []error
	missing := make(map[string]bool) // by field: one environment is enough
	for _, w := range b.all {
		field, at, ok := w.writesImage()
		switch {
		case !w.ok || w.Image != "" || !ok:
		case w.found != nil:
			b.refuse(w, fmt.Sprintf("it has no repository, and %s[%d] writes {repository}: name the app's image, or give the app a set without it", field, at))
		case !missing[b.repositoryField(w)]:
			missing[b.repositoryField(w)] = true
			problems = append(problems, gitops.FieldErrorf(b.repositoryField(w),
				"is missing, and %s[%d] writes {repository} in %s: name the app's image, or give the app a set without it", field, at, w.Environment))
		}
	}
	return errors.Join(problems...)
}

// writesImage finds a set of the target that writes the image's name.
func (w *wanted) writesImage() (field string, at int, ok bool) {
	for _, f := range w.Files {
		if at := slices.IndexFunc(f.Sets, func(set values.Target) bool { return strings.Contains(set.Value, "{repository}") }); at >= 0 {
			return f.field, at, true
		}
	}
	return "", 0, false
}

func (b *builder) repositoryField(w *wanted) string { return RepositoryField(b.Config, w.At) }

// RepositoryField is the field that the image of a target of the configuration stands in,
// or would.
func RepositoryField(c config.Config, at At) string {
	if _, own := c.Apps[at.App].Repositories[at.Environment]; own {
		return "apps." + at.App + ".repositories." + at.Environment
	}
	return "apps." + at.App + ".repository"
}

// policyApps are the apps as the policy plans them: those of the configuration as it has
// them, for it to say what is wrong with them, and those that were found right.
func (b *builder) policyApps() map[string]policy.App {
	apps := make(map[string]policy.App, len(b.Config.Apps)+len(b.all))
	for name, app := range b.Config.Apps {
		if !b.refines(name) {
			apps[name] = configuredApp(app)
		}
	}
	for i := 0; i < len(b.all); {
		of := b.all[i:]
		if n := slices.IndexFunc(of, func(w *wanted) bool { return w.App != of[0].App }); n >= 0 {
			of = of[:n]
		}
		i += len(of)
		if of = slices.DeleteFunc(slices.Clone(of), func(w *wanted) bool { return !w.ok || w.found == nil }); len(of) > 0 {
			apps[of[0].App] = policyApp(of)
		}
	}
	return apps
}

// Refined are the apps of the configuration that only say more of what branches name, as
// the policy plans them.
func Refined(in Input) map[string]policy.App {
	apps := make(map[string]policy.App)
	b := newBuilder(in)
	for name, app := range in.Config.Apps {
		if b.refines(name) {
			to := configuredApp(app)
			to.Tags = policy.TagRule{} // checked with the catalog, since it depends on where the app is
			apps[name] = to
		}
	}
	return apps
}

// configuredApp is an app of the configuration as the policy plans it.
func configuredApp(app config.App) policy.App {
	to := policy.App{Repository: app.Repository, Repositories: app.Repositories, Environments: app.Environments}
	if app.Tags != nil {
		to.Tags = policy.TagRule(*app.Tags)
	}
	return to
}

// policyApp is a found app by its targets.
func policyApp(targets []*wanted) policy.App {
	app := policy.App{Repository: targets[0].Image, Tags: policy.TagRule(targets[0].Tags)} // an app has one rule everywhere
	one := !slices.ContainsFunc(targets, func(w *wanted) bool { return w.Image != targets[0].Image })
	if !one {
		app.Repository, app.Repositories = "", make(map[string]string)
	}
	for _, w := range targets {
		app.Environments = append(app.Environments, w.Environment)
		if !one && w.Image != "" {
			app.Repositories[w.Environment] = w.Image
		}
	}
	return app
}
