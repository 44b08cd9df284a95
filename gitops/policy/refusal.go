package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// refuses returns why the rule does not take the tag, or "" when it does.
func (r rule) refuses(tag string) string {
	if r.pattern != nil && !r.pattern.MatchString(tag) {
		return fmt.Sprintf("tag %s does not match %s (a regular expression for the whole tag)", tag, r.source.Match)
	}
	if r.semver == nil {
		return ""
	}
	version, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	switch {
	case err != nil:
		return fmt.Sprintf("tag %s is not a semantic version (%s), and the rule is semver %s", tag, notVersion(tag), r.source.Semver)
	case r.semver.Check(version):
		return ""
	case r.onlyForReleases(version):
		return fmt.Sprintf("tag %s is a pre-release, and semver %s takes none: a constraint that names one does, such as %s", tag, r.source.Semver, withPreReleases(r.source.Semver))
	}
	return fmt.Sprintf("tag %s does not satisfy semver %s", tag, r.source.Semver)
}

// onlyForReleases reports whether the constraint refuses a version for nothing but
// its pre-release: with them it would take it.
func (r rule) onlyForReleases(version *semver.Version) bool {
	if version.Prerelease() == "" {
		return false
	}
	named, err := semver.NewConstraint(withPreReleases(r.source.Semver))
	return err == nil && named.Check(version)
}

// boundText is the first version of an alternative with its operator. A range of two
// versions begins with one.
var boundText = regexp.MustCompile(`(>=|=>|<=|=<|!=|~>|[<>=~^]|)\s*v?(\d+)(\.\d+)?(\.\d+)?(?:\.[xX*])*`)

// withPreReleases is the constraint with a pre-release named: ">=1.0.0-0" for
// ">=1.0.0". The first version of each alternative has it, so that the end of a range
// stays where it is.
func withPreReleases(constraint string) string {
	alternatives := strings.Split(constraint, "||")
	for i, text := range alternatives {
		text = strings.TrimSpace(text)
		bound := boundText.FindStringSubmatch(text)
		if bound == nil {
			alternatives[i] = ">=0.0.0-0"
			continue
		}
		before, after, _ := strings.Cut(text, bound[0])
		alternatives[i] = before + namePreRelease(bound, after) + after
	}
	return strings.Join(alternatives, " || ")
}

// namePreRelease is one bound with a pre-release; its parts are those of boundText.
func namePreRelease(bound []string, after string) string {
	operator, version := bound[1], bound[2]+bound[3]+bound[4]
	partial := bound[4] == ""
	switch {
	case strings.HasPrefix(strings.TrimSpace(after), "- "): // the beginning of a range
	case operator == "!=":
		return ">=0.0.0-0 " + bound[0]
	case partial && (operator == "<=" || operator == "=<" || operator == ">"):
		return operator + version + "-0" // filled up it would end earlier
	case partial && (operator == "" || operator == "=" || strings.HasPrefix(operator, "~")):
		operator = "~"
		if bound[3] == "" {
			operator = "^"
		}
	}
	for strings.Count(version, ".") < 2 {
		version += ".0"
	}
	return operator + version + "-0"
}

var (
	dottedNumbers = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)
	leadingZero   = regexp.MustCompile(`(^|[.-])0[0-9]+($|[.-])`)
	versionBegins = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`)
	versionWithin = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`)
)

// notVersion says why a tag is not a semantic version; "" when it is one.
func notVersion(tag string) string {
	version := strings.TrimPrefix(tag, "v")
	if _, err := semver.StrictNewVersion(version); err == nil {
		return ""
	}
	numbers := dottedNumbers.MatchString(version)
	switch {
	case strings.HasPrefix(tag, "V") && notVersion(tag[1:]) == "":
		return "it begins with a capital V; only a small v may stand before the numbers"
	case strings.HasPrefix(version, "v") || strings.HasPrefix(version, "V"):
		return "more than one v stands before the numbers"
	case numbers && strings.Count(version, ".") != 2:
		return fmt.Sprintf("three numbers, and it has %d", strings.Count(version, ".")+1)
	case leadingZero.MatchString(version) && (numbers || versionBegins.MatchString(version)):
		return fmt.Sprintf("a number of a version has no leading zero, as %s has", strings.Trim(leadingZero.FindString(version), ".-"))
	case numbers:
		return "one of its numbers is too large"
	case versionBegins.MatchString(version) && strings.Contains(version, "_"):
		return "a version has no underscore; write - before a pre-release"
	case versionBegins.MatchString(version):
		return "behind the three numbers only - and a pre-release may stand, such as -rc.1"
	case versionWithin.MatchString(version):
		return "a version begins with its three numbers or v, and nothing stands before them"
	}
	return "three numbers, such as 1.4.2"
}
