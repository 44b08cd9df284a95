package image

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// dockerHub is where a name without a host is looked for, as it stands in names; it answers
// at dockerHubHost.
const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io"
)

// Split parts an image's name without tag into the registry's host and the name in that
// registry, as container runtimes do: "acme/api" is docker.io's, and "docker.io/nginx" is
// library/nginx there.
func Split(repository string) (host, path string) {
	host, path, ok := strings.Cut(repository, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = dockerHub, repository
	}
	if host == "index.docker.io" || host == dockerHubHost {
		host = dockerHub
	}
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host, path
}

// Canonical is the one name of an image without tag, whichever of its names it is called by:
// a registry of ECR has several hosts, Docker Hub short names, and a port may be the usual
// one.
func Canonical(repository string) string {
	if host, path, usual := strings.Cut(repository, ":443/"); usual && !gitops.IsLoopback(host) { // which is asked without TLS
		repository = host + "/" + path
	}
	host, path := Split(repository)
	if ecr, err := aws.ParseRegistry(host); err == nil {
		host = ecr.Registry.Host()
	}
	return host + "/" + path
}

// Endpoint is the host that requests about a registry go to.
func Endpoint(host string) string {
	if host == dockerHub {
		return dockerHubHost
	}
	return host
}

// Name is how people write an image in a sentence that names its registry: "acme/api:v1".
func Name(repository, tag string) string {
	_, path := Split(repository)
	return path + ":" + tag
}

func nameOf(u gitops.Update) string { return Name(u.Repository, u.Tag) }

func hostOf(u gitops.Update) string {
	host, _ := Split(u.Repository)
	return host
}
