package image

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
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
	switch other, isCalled := called[p.Architecture]; {
	case isCalled:
		return Platform{}, gitops.FieldErrorf(field, "%q is not how images call that architecture: write %s", text, p.OS+"/"+other)
	case !slices.Contains(systems, p.OS):
		return Platform{}, gitops.FieldErrorf(field, "%q does not begin with an operating system of images: use one of %s", text, strings.Join(systems, ", "))
	case !slices.Contains(architectures, p.Architecture):
		return Platform{}, gitops.FieldErrorf(field, "%q does not name an architecture of images: use one of %s", text, strings.Join(architectures, ", "))
	}
	return p, nil
}

// What images are for is called as Go calls it (OCI image spec v1.1, "Image Index"): what
// container runtimes run on. A typing error would have every image refused.
var (
	systems       = []string{"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "solaris", "illumos", "aix", "android", "wasip1"}
	architectures = []string{"amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "s390x", "riscv64", "loong64", "mips64le", "mips64", "mipsle", "mips", "wasm"}
)

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

// version is the number of the platform's variant, of the usual one where none is named;
// false where its variants are not numbered.
func (p Platform) version() (number float64, ok bool) {
	variant := cmp.Or(p.Variant, usual[p.Architecture])
	digits, isVersion := strings.CutPrefix(variant, "v")
	number, err := strconv.ParseFloat(digits, 64)
	return number, isVersion && err == nil
}

// Serves reports whether a machine of the demanded platform runs what is for this one: the
// same, also where one of them does not name the usual variant, or an earlier variant. So
// linux/arm64/v8 is linux/arm64, and linux/arm/v6 serves linux/arm. Container runtimes
// choose so.
func (p Platform) Serves(demanded Platform) bool {
	if p.OS != demanded.OS || p.Architecture != demanded.Architecture {
		return false
	}
	has, numbered := p.version()
	wants, both := demanded.version()
	return p.Variant == demanded.Variant || numbered && both && has <= wants
}

// bestOf is the platform of an image that a machine of the demanded one runs: of the latest
// variant that it can.
func bestOf(all []Platform, demanded Platform) (best Platform, ok bool) {
	for _, p := range all {
		if !p.Serves(demanded) {
			continue
		}
		number, _ := p.version()
		if highest, _ := best.version(); !ok || number > highest {
			best, ok = p, true
		}
	}
	return best, ok
}

// platforms says which platform that is demanded the image is not for; "" when it is for
// all of them.
func (i inspection) platforms() string {
	for _, demanded := range i.Rules.Platforms {
		best, ok := bestOf(i.answer.Platforms, demanded)
		switch {
		case !ok:
			return fmt.Sprintf("%s in registry %s is for %s and not for %s, which environment %s demands: build it for that platform and push it under a new tag",
				nameOf(i.update), hostOf(i.update), list(i.answer.Platforms), demanded, i.update.Environment)
		case slices.Contains(i.answer.Missing, best):
			return fmt.Sprintf("%s in registry %s is an index that names %s, and the manifest of that platform is not there: push the image again under a new tag",
				nameOf(i.update), hostOf(i.update), best)
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
