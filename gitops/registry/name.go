package registry

import (
	"net"
	"regexp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// What may stand in a path of the API (distribution spec v1.1, "Pulling manifests"). Nothing
// else comes into a URL.
var (
	hostGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
	pathGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// name is an image's name without tag, taken apart.
type name struct {
	host string // as it is configured
	path string // in the API
}

func parseName(repository string) (name, error) {
	host, path := image.Split(repository)
	if !hostGrammar.MatchString(host) || !pathGrammar.MatchString(path) || len(path) > 255 {
		return name{}, gitops.Errorf(gitops.Invalid,
			"%q is not an image name without tag or digest, such as ghcr.io/acme/api", gitops.Clip(repository, 300))
	}
	return name{host, path}, nil
}

func checkTag(tag string) error {
	if !tagGrammar.MatchString(tag) {
		return gitops.Errorf(gitops.Invalid, "%q is not a tag that a registry can have: letters, digits, '.', '_' and '-', 128 at most", gitops.Clip(tag, 150))
	}
	return nil
}

// plainHTTP reports whether a host is asked without TLS: what is sent to this machine passes no network.
func plainHTTP(host string) bool {
	bare, _, err := net.SplitHostPort(host)
	if err != nil {
		bare = host
	}
	return gitops.IsLoopback(bare)
}
