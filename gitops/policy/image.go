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
	name       imageName
}

// imageName is an image by the one name that it has, whatever host of its registry it is
// called by. The zero value is no image.
type imageName struct {
	ecr   ECR    // zero when it is in another registry
	other string // its name there
}

func imageNameOf(repository string) imageName {
	if ecr, ok := ParseECR(repository); ok {
		return imageName{ecr: ecr}
	}
	return imageName{other: repository}
}

// nameOfPush is the image that appeared.
func nameOfPush(e gitops.ImagePush) imageName {
	if e.Image != "" {
		return imageNameOf(e.Image)
	}
	return imageName{ecr: ECR{Account: e.Account, Region: e.Region, Name: e.Repository}}
}

// String is the name as it is configured; of an image in ECR by the registry's usual host.
func (n imageName) String() string {
	if n.ecr != (ECR{}) {
		return n.ecr.String()
	}
	return n.other
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
	return image{repository: repository, name: imageNameOf(repository)}
}

// register notes that pushes to the app's repositories may be for it.
func (p *Policy) register(name string, a app) {
	for _, of := range append(slices.Collect(maps.Values(a.images)), a.image) {
		apps := p.byImage[of.name]
		if of.name != (imageName{}) && (len(apps) == 0 || apps[len(apps)-1] != name) { // one app is read after another
			p.byImage[of.name] = append(apps, name)
		}
	}
}

// AppsOf lists the apps that have the repository in some environment.
func (p *Policy) AppsOf(repository ECR) []string { return p.byImage[imageName{ecr: repository}] }

// WhyNot says why a push is no update of the app in the environment; "" when it is one.
func (p *Policy) WhyNot(e gitops.ImagePush, environment, app string) string {
	if why := unusable(e); why != "" {
		return why
	}
	if why := p.notThere(nameOfPush(e), environment, app); why != "" {
		return why
	}
	return p.refuses(environment, app, e.Tag)
}

// notThere says why the environment does not have the app with the image.
func (p *Policy) notThere(name imageName, environment, app string) string {
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
	if image := a.imageIn(environment); image.name != name {
		return fmt.Sprintf("the repository of app %q is %s there", app, cmp.Or(image.repository, "not configured"))
	}
	return ""
}
