package image_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

func TestSplit(t *testing.T) {
	for repository, want := range map[string][3]string{
		"ghcr.io/acme/api":         {"ghcr.io", "acme/api", "ghcr.io"},
		"ghcr.io/api":              {"ghcr.io", "api", "ghcr.io"},
		"localhost:5000/api":       {"localhost:5000", "api", "localhost:5000"},
		"localhost/api":            {"localhost", "api", "localhost"},
		"registry:5000/api":        {"registry:5000", "api", "registry:5000"},
		"docker.io/nginx":          {"docker.io", "library/nginx", "registry-1.docker.io"},
		"docker.io/acme/api":       {"docker.io", "acme/api", "registry-1.docker.io"},
		"index.docker.io/nginx":    {"docker.io", "library/nginx", "registry-1.docker.io"},
		"registry-1.docker.io/a/b": {"docker.io", "a/b", "registry-1.docker.io"},
		"acme/api":                 {"docker.io", "acme/api", "registry-1.docker.io"},
		"nginx":                    {"docker.io", "library/nginx", "registry-1.docker.io"},
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/api": {"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "team/api", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
	} {
		host, path := image.Split(repository)
		if got := [3]string{host, path, image.Endpoint(host)}; got != want {
			t.Errorf("%s is %q", repository, got)
		}
	}
	if got := image.Name("docker.io/nginx", "1.27"); got != "library/nginx:1.27" {
		t.Errorf("it is called %s", got)
	}
}

func TestCanonical(t *testing.T) {
	for want, same := range map[string][]string{
		"docker.io/library/nginx": {"nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/nginx", "registry-1.docker.io/library/nginx", "docker.io:443/nginx"},
		"docker.io/acme/api":      {"acme/api", "docker.io/acme/api", "index.docker.io/acme/api"},
		"ghcr.io/acme/api":        {"ghcr.io/acme/api", "ghcr.io:443/acme/api"},
		"ghcr.io:5000/acme/api":   {"ghcr.io:5000/acme/api"},
		"localhost:443/api":       {"localhost:443/api"},
		"localhost/api":           {"localhost/api"},
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/api": {
			"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/api", "123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/team/api",
			"123456789012.dkr-ecr.eu-west-1.on.aws/team/api", "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443/team/api",
		},
	} {
		for _, name := range same {
			if got := image.Canonical(name); got != want || image.Canonical(got) != got {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
}

// A name that is put together again is the same image's.
func FuzzSplit(f *testing.F) {
	for _, repository := range []string{"ghcr.io/acme/api", "nginx", "docker.io/nginx", "localhost/x", "/", "a//b", ".", ":/"} {
		f.Add(repository)
	}
	f.Fuzz(func(t *testing.T, repository string) {
		host, path := image.Split(repository)
		if again, samePath := image.Split(host + "/" + path); again != host || samePath != path {
			t.Errorf("%q is %q and %q, and then %q and %q", repository, host, path, again, samePath)
		}
		if !strings.HasSuffix(path, repository[strings.Index(repository, "/")+1:]) {
			t.Errorf("%q has become %q", repository, path)
		}
	})
}
