package image

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Platform is an operating system and an architecture, as an index names them (OCI image
// spec v1.1, "Image Index"). An empty Variant is the architecture's usual one.
type Platform struct{ OS, Architecture, Variant string }

// String is "linux/arm64" or "linux/arm/v7".
func (p Platform) String() string {
	if p.Variant == "" {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

var platformPart = regexp.MustCompile(`^[a-z0-9][a-z0-9._]{0,31}$`)

// ParsePlatform reads what a person wrote, as "linux/amd64" or "linux/arm/v7". An error is
// Invalid, on field.
func ParsePlatform(field, text string) (Platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(part string) bool { return !platformPart.MatchString(part) }) {
		return Platform{}, gitops.FieldErrorf(field, "%.80q is not a platform: write os/architecture or os/architecture/variant in small letters, such as linux/amd64 or linux/arm/v7", text)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if other, known := called[p.Architecture]; known {
		return Platform{}, gitops.FieldErrorf(field, "%q is not how images call that architecture: write %s", text, p.OS+"/"+other)
	}
	if !p.IsReal() {
		return Platform{}, gitops.FieldErrorf(field, "%q is what attestations are entered as in an index: no image is for it", text)
	}
	return p, nil
}

// called are names that people and kernels give to architectures, and what images call
// them (GOARCH).
var called = map[string]string{
	"x86_64": "amd64", "x64": "amd64", "i386": "386", "i686": "386", "x86": "386",
	"aarch64": "arm64", "armv8": "arm64", "armhf": "arm/v7", "armv7": "arm/v7", "armv7l": "arm/v7", "armel": "arm/v6", "armv6": "arm/v6",
}

// IsReal reports whether it is a platform. BuildKit enters attestations in an index as
// unknown/unknown, and an index may have entries of which it says nothing.
func (p Platform) IsReal() bool { return isNamed(p.OS) && isNamed(p.Architecture) }

func isNamed(part string) bool { return part != "" && part != "unknown" }

// usual are the variants that an architecture has where none is named.
var usual = map[string]string{"arm64": "v8", "arm": "v7", "amd64": "v1"}

// variant is the platform's variant, the usual one where none is named.
func (p Platform) variant() string {
	if p.Variant == "" {
		return usual[p.Architecture]
	}
	return p.Variant
}

// Matches reports whether what is for a platform is what is demanded: the same, also
// where one of them does not name the usual variant. So linux/arm64 is linux/arm64/v8.
func (p Platform) Matches(demanded Platform) bool {
	return p.OS == demanded.OS && p.Architecture == demanded.Architecture && p.variant() == demanded.variant()
}

// platforms says which platform that is demanded the image is not for; "" when it is for
// all of them.
func (i inspection) platforms() string {
	for _, demanded := range i.Rules.Platforms {
		is := func(p Platform) bool { return p.Matches(demanded) }
		switch {
		case slices.ContainsFunc(i.answer.Missing, is):
			return fmt.Sprintf("%s is an index in registry %s that names %s, and the manifest of that platform is not there: push the image again under a new tag", nameOf(i.update), hostOf(i.update), demanded)
		case !slices.ContainsFunc(i.answer.Platforms, is):
			return fmt.Sprintf("%s in registry %s is for %s and not for %s, which environment %s demands: build it for that platform and push it under a new tag",
				nameOf(i.update), hostOf(i.update), list(i.answer.Platforms), demanded, i.update.Environment)
		}
	}
	return ""
}

// list names the platforms that an image is for.
func list(all []Platform) string {
	const most = 8
	var names []string
	for _, p := range all {
		if name := p.String(); p.IsReal() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return "no platform that it names"
	case len(names) > most:
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
