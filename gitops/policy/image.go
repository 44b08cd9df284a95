package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// image is what an app's image is called in an environment. Environments may have
// registries of their own, in other accounts or regions.
type image struct {
	repository string
	ecr        ECR // zero when the repository is not in ECR
}

func (a app) imageIn(environment string) image {
	if own, ok := a.images[environment]; ok {
		return own
	}
	return a.image
}

// compileImages reads the app's repositories.
func (p *Policy) compileImages(field string, c App, a *app) error {
	var problems []error
	if c.Repository != "" {
		problems = append(problems, CheckRepository(field+".repository", c.Repository))
		a.image = imageOf(c.Repository)
		if p.hasOwnEverywhere(c, *a) {
			problems = append(problems, gitops.FieldErrorf(field+".repository",
				"is never used: each environment of the app has a repository of its own in repositories"))
		}
	}
	if c.Repositories != nil && len(c.Repositories) == 0 {
		problems = append(problems, gitops.FieldErrorf(field+".repositories", "must name at least one environment"))
	}
	for _, env := range slices.Sorted(maps.Keys(c.Repositories)) {
		at := field + ".repositories." + env
		if _, ok := p.environments[env]; !ok {
			problems = append(problems, gitops.FieldErrorf(at, "%q is not among the configured environments (%s)", env, strings.Join(p.names, ", ")))
			continue
		}
		if !a.runsIn(env) {
			problems = append(problems, gitops.FieldErrorf(at, "the app is not in %q: add it to %s.environments", env, field))
		}
		problems = append(problems, CheckRepository(at, c.Repositories[env]))
		if a.images == nil {
			a.images = make(map[string]image, len(c.Repositories))
		}
		a.images[env] = imageOf(c.Repositories[env])
	}
	return errors.Join(problems...)
}

// hasOwnEverywhere reports whether no environment of the app is left to the app's
// repository.
func (p *Policy) hasOwnEverywhere(c App, a app) bool {
	return len(c.Repositories) > 0 && !slices.ContainsFunc(p.names, func(env string) bool {
		_, own := c.Repositories[env]
		return a.runsIn(env) && !own
	})
}

func imageOf(repository string) image {
	ecr, _ := ParseECR(repository)
	return image{repository: repository, ecr: ecr}
}

// register notes that pushes to the app's repositories may be for it.
func (p *Policy) register(name string, a app) {
	for _, of := range append(slices.Collect(maps.Values(a.images)), a.image) {
		apps := p.byRepository[of.ecr]
		if of.ecr != (ECR{}) && (len(apps) == 0 || apps[len(apps)-1] != name) { // one app is read after another
			p.byRepository[of.ecr] = append(apps, name)
		}
	}
}

// AppsOf lists the apps that have the repository in some environment.
func (p *Policy) AppsOf(repository ECR) []string { return p.byRepository[repository] }

// WhyNot says why a push is no update of the app in the environment; "" when it is one.
func (p *Policy) WhyNot(e gitops.ImagePush, environment, app string) string {
	if why := unusable(e); why != "" {
		return why
	}
	repository := ECR{Account: e.Account, Region: e.Region, Name: e.Repository}
	if why := p.notThere(repository, environment, app); why != "" {
		return why
	}
	return p.refuses(environment, app, e.Tag)
}

// notThere says why the environment does not have the app from the repository.
func (p *Policy) notThere(repository ECR, environment, app string) string {
	a := p.apps[app]
	if why := p.whyNot(gitops.Order{Environment: environment, App: app}); why != "" {
		return why
	}
	if !a.runsIn(environment) {
		if why := p.whyNot(gitops.Order{App: app, Environment: environment}); why != "" {
			return why
		}
		return fmt.Sprintf("app %q is not configured for it", app)
	}
	if image := a.imageIn(environment); image.ecr != repository {
		return fmt.Sprintf("the repository of app %q is %s there", app, cmp.Or(image.repository, "not configured"))
	}
	return ""
}
