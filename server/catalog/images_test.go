package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// inspected is a site whose images in dev are inspected.
func inspected(t *testing.T, tags config.Tags, image config.Image) catalog.Input {
	t.Helper()
	in := site(t, "dev", "prod")
	in.Config.Environments["dev"] = config.Environment{Tags: tags, Image: &image}
	return in
}

// Where images are inspected every app has one, and where a registry is polled its tags have
// an order: what is wrong with an app of the configuration is the configuration's error, and
// with a found one that app's problem, in that environment alone.
func TestInspectedAppsHaveAnImage(t *testing.T) {
	t.Parallel()
	const (
		other   = "registry.example/x"
		ecr     = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x"
		missing = "is missing, and environments.dev.image looks for the images of dev in their registry: name the app's image, or leave the app out of dev"
		noECR   = "is registry.example/x, which is not in Amazon ECR, and environments.dev.image.ecrSigning demands that ECR has signed the images of dev: leave ecrSigning out, or leave the app out of dev"
		noOrder = "is registry.example/x, whose registry does not say when an image was pushed, and the tags that dev takes have no order without semver: environments.dev.image.poll could not tell which is the newest. Give the environment's or the app's tags semver, or leave poll out"
	)
	match, poll := config.Tags{Match: "main-.*"}, config.Image{Poll: time.Hour}
	for name, c := range map[string]struct {
		tags       config.Tags
		image      config.Image
		repository string
		own        config.Tags
		want       string
	}{
		"no image":                          {tags: match, want: missing},
		"an image":                          {tags: match, repository: other},
		"no image, polled":                  {tags: match, image: poll, want: missing},
		"signed by another's registry":      {tags: match, image: config.Image{ECRSigning: true}, repository: other, want: noECR},
		"signed by ECR":                     {tags: match, image: config.Image{ECRSigning: true}, repository: ecr},
		"polled by match":                   {tags: match, image: poll, repository: other, want: noOrder},
		"polled by match on ECR":            {tags: match, image: poll, repository: ecr},
		"polled by semver":                  {tags: config.Tags{Semver: ">=1.0.0"}, image: poll, repository: other},
		"polled by match and semver":        {tags: config.Tags{Match: ".*", Semver: ">=1.0.0"}, image: poll, repository: other},
		"polled by match, the app's semver": {tags: config.Tags{Match: "[0-9.]+"}, image: poll, repository: other, own: config.Tags{Semver: ">=1.0.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := inspected(t, c.tags, c.image)
			in.Config.Apps = map[string]config.App{"x": {Repository: c.repository, File: "x/{env}.yaml"}}
			if c.own != (config.Tags{}) {
				in.Config.Apps["x"] = config.App{Repository: c.repository, File: "x/{env}.yaml", Tags: &c.own}
			}
			_, err := catalog.New(in)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("the configuration is refused: %v", err)
			case c.want != "" && (err == nil || err.Error() != "apps.x.repository: "+c.want):
				t.Errorf("the configuration's error is %v, want %s", err, c.want)
			}

			in = inspected(t, c.tags, c.image)
			x := &discover.Found{App: "x", Environment: "dev", File: "charts/x/values-dev.yaml", Image: c.repository, Tags: discover.Tags(c.own), Origin: "charts/x/tallyman.yaml"}
			elsewhere := &discover.Found{App: "x", Environment: "prod", File: "charts/x/values-prod.yaml", Origin: "discover[0]", Tags: x.Tags}
			got := look(t, in, x, elsewhere)
			if c.want != "" {
				refused(t, got, "x", "its repository "+c.want, "charts/x/values-dev.yaml")
			} else if _, known := got.Target("dev", "x"); !known {
				t.Errorf("the found app is refused: %v", got.Problems())
			}
			if _, known := got.Target("prod", "x"); !known {
				t.Errorf("where no images are inspected it is refused, too: %v", got.Problems())
			}
		})
	}
}

// Thousands of apps that lack the same are one line each, and an app that has images by
// environment is told which.
func TestAMissingImageIsToldOnceForEachApp(t *testing.T) {
	t.Parallel()
	in := inspected(t, config.Tags{Match: ".*"}, config.Image{})
	prod := in.Config.Environments["prod"]
	prod.Image = &config.Image{}
	in.Config.Environments["prod"] = prod
	in.Config.Apps = map[string]config.App{
		"a": {File: "a/{env}.yaml"},
		"b": {File: "b/{env}.yaml", Repositories: map[string]string{"dev": "", "prod": "registry.example/b"}},
	}
	_, err := catalog.New(in)
	if err == nil || strings.Count(err.Error(), "is missing") != 2 || !strings.Contains(err.Error(), "apps.a.repository: ") || !strings.Contains(err.Error(), "apps.b.repositories.dev: ") {
		t.Errorf("the error is %v", err)
	}
}

// Where images are inspected one image has one name: what is kept of its tags is kept by it.
func TestAnImageHasOneName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second string
		plain         bool // the second's environment inspects nothing
		want          string
	}{
		"the same":         {first: "docker.io/acme/api", second: "docker.io/acme/api"},
		"others":           {first: "docker.io/acme/api", second: "ghcr.io/acme/api"},
		"not inspected":    {first: "docker.io/acme/api", second: "acme/api", plain: true},
		"Docker Hub":       {first: "docker.io/acme/api", second: "acme/api", want: "is acme/api, which a in dev has as docker.io/acme/api"},
		"of its library":   {first: "docker.io/nginx", second: "index.docker.io/library/nginx", want: "is index.docker.io/library/nginx, which a in dev has as docker.io/nginx"},
		"the usual port":   {first: "ghcr.io/acme/api", second: "ghcr.io:443/acme/api", want: "is ghcr.io:443/acme/api, which a in dev has as ghcr.io/acme/api"},
		"another port":     {first: "ghcr.io/acme/api", second: "ghcr.io:8443/acme/api"},
		"a host of ECR's":  {first: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x", second: "123456789012.dkr-ecr.eu-west-1.on.aws/x", want: "is 123456789012.dkr-ecr.eu-west-1.on.aws/x, which a in dev has as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/x"},
		"another's of ECR": {first: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x", second: "210987654321.dkr.ecr.eu-west-1.amazonaws.com/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := inspected(t, config.Tags{Match: ".*"}, config.Image{})
			if !c.plain {
				in.Config.Environments["prod"] = config.Environment{Tags: config.Tags{Match: ".*"}, Image: &config.Image{}}
			}
			in.Config.Apps = map[string]config.App{
				"a": {Repository: c.first, File: "a/{env}.yaml", Environments: []string{"dev"}},
				"b": {Repository: c.second, File: "b/{env}.yaml", Environments: []string{"prod"}},
			}
			_, err := catalog.New(in)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "apps.b.repository: "+c.want)) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}
