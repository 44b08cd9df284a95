package values

import (
	"regexp"
	"strings"
)

// What an image scalar may hold, see github.com/distribution/reference: a name,
// a tag, a digest, or some of them.
var (
	// A + is not allowed in a tag, but people write chart versions where tags go.
	tagText    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$`)
	digestText = regexp.MustCompile(`^sha(256|512):[0-9A-Fa-f]+$`)
	hexDigest  = regexp.MustCompile(`^([0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})$`)
	imageText  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+/[A-Za-z0-9._-]+)?(/[A-Za-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9._+-]*)?$`)
	// nameWord is one word that can be an image's whole name: busybox.
	nameWord = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	// versionWord is one that is a version rather than a name.
	versionWord = regexp.MustCompile(`^[vV]?[0-9]`)
)

// reference is what an image scalar names.
type reference struct {
	name        string // "" without one
	tag, digest bool
}

// parseReference takes an image scalar apart. A word alone, or before a digest, is
// a tag or a name; isTag says which.
func parseReference(text string, isTag func(word string, pinned bool) bool) (r reference, ok bool) {
	if digestText.MatchString(text) || hexDigest.MatchString(text) {
		return reference{digest: true}, true
	}
	image, digest, pinned := strings.Cut(text, "@")
	if pinned && !digestText.MatchString(digest) {
		return reference{}, false
	}
	switch {
	case tagText.MatchString(image):
		if isTag(image, pinned) {
			return reference{tag: true, digest: pinned}, true
		}
		return reference{name: image, digest: pinned}, true
	case imageText.MatchString(image):
		slash := strings.LastIndex(image, "/") + 1
		word, _, tagged := strings.Cut(image[slash:], ":")
		return reference{name: image[:slash] + word, tag: tagged, digest: pinned}, true
	}
	return reference{}, false
}

// sameRepository compares two image names as a container runtime reads them:
// busybox is docker.io/library/busybox.
func sameRepository(a, b string) bool { return fullName(a) == fullName(b) }

func fullName(name string) string {
	const hub = "docker.io/"
	host, rest, found := strings.Cut(name, "/")
	switch {
	case !found:
		return hub + "library/" + name
	case host == "docker.io" || host == "index.docker.io":
		if !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
		return hub + rest
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return hub + name
	}
	return name
}
