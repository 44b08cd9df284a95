package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// TagRule says which tags are taken; where both fields are set, both must hold. That of
// an environment must have one.
type TagRule struct {
	// Match is a regular expression (RE2) that must match the whole tag.
	Match string
	// Semver is a constraint as in "^1.2", ">=1.0.0 <2.0.0". A tag counts as a
	// version only when it has all three numbers, with or without a leading v:
	// 1234567, a commit that happens to be all digits, is no version. A
	// pre-release satisfies only a constraint that names one (">=1.0.0-0").
	Semver string
}

type rule struct {
	source   TagRule
	pattern  *tagset.Pattern    // nil without match
	versions *tagset.Constraint // nil without semver
	semver   *semver.Constraints
}

func (r rule) empty() bool { return r.source == TagRule{} }

// compileRule compiles a rule, and refuses one that no tag satisfies: pushes would be
// ignored for ever, and nothing would be red. The warnings are of rules that are
// hardly meant as they stand.
func compileRule(source TagRule) (r rule, warnings []*gitops.Error, err error) {
	r = rule{source: source}
	var problems []error
	if source.Match != "" {
		r.pattern, err = compileMatch("match", source.Match)
		problems = append(problems, err)
	}
	if source.Semver != "" {
		r.versions, warnings, err = compileSemver("semver", source.Semver)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return rule{source: source}, nil, err
	}
	if r.pattern != nil {
		warnings = append(warnings, warnOfMatch("match", source.Match, r.pattern)...)
	}
	if r.versions != nil {
		r.semver, _ = semver.NewConstraint(source.Semver) // compileSemver has parsed it
	}
	if r.pattern != nil && r.versions != nil {
		err = checkBoth(source, r.pattern, r.versions)
	}
	return r, warnings, err
}

// unlike are tags of images that are not built for one environment.
var unlike = []string{"edge", "main-1a2b3c4", "pr-42", "1.4.2", "feature_x"}

// takesAny reports whether a rule makes no difference between tags.
func (r rule) takesAny() bool {
	return !slices.ContainsFunc(unlike, func(tag string) bool { return r.refuses(tag) != "" })
}

// compileMatch compiles an expression that some tag matches.
func compileMatch(field, match string) (*tagset.Pattern, error) {
	pattern, err := tagset.Compile(match)
	if wrong := new(syntax.Error); err != nil && !errors.As(err, &wrong) {
		return nil, gitops.FieldErrorf(field, "%v", err)
	} else if err != nil {
		return nil, gitops.FieldErrorf(field, "is not a regular expression: %v%s", err, wayOutOfSyntax(match, err))
	}
	if why := takesNothing(match, pattern); why != "" {
		return nil, gitops.FieldErrorf(field, "%s", why)
	}
	return pattern, nil
}

// takesNothing says why an expression takes no tag, or one that is only the beginning
// of those that are meant; "" when it may take others.
func takesNothing(match string, pattern *tagset.Pattern) string {
	if tag, decided := tagset.Find(pattern, nil); decided && tag == "" {
		return "matches no tag (it is a regular expression for the whole tag): " + whyNoTag(match, pattern)
	}
	if tag, decided := pattern.FindNamed(); decided && tag == "" && beginsOnly(match) {
		return fmt.Sprintf("matches only %s, and no more of a tag that begins with it (it is a regular expression for the whole tag): write %s", example(pattern), beginning(match))
	}
	return ""
}

// compileSemver parses a constraint that some version satisfies. It warns of one that
// some version satisfies, and hardly as it is meant.
func compileSemver(field, text string) (*tagset.Constraint, []*gitops.Error, error) {
	constraint, err := tagset.NewConstraint(text)
	if err != nil {
		return nil, nil, gitops.FieldErrorf(field, "is not a version constraint: %v%s", err, wayOutOfConstraint(text))
	}
	if takesNoVersion(constraint) {
		return nil, nil, gitops.FieldErrorf(field, "no version satisfies %s: what stands side by side must hold at once; write || between alternatives", text)
	}
	if from, to, closed := strings.Cut(strings.TrimSpace(text), "-"); closed && closedRange.MatchString(strings.TrimSpace(text)) {
		return constraint, []*gitops.Error{gitops.FieldErrorf(field, "takes only the pre-release %s; for the versions from %s to %s write a space on both sides of the hyphen: %q", text, from, to, from+" - "+to)}, nil
	}
	all := strings.Split(text, "||")
	for _, alternative := range all {
		if one, err := tagset.NewConstraint(alternative); err == nil && len(all) > 1 && takesNoVersion(one) {
			return constraint, []*gitops.Error{gitops.FieldErrorf(field, "no version satisfies its alternative %s: what stands side by side must hold at once", strings.TrimSpace(alternative))}, nil
		}
	}
	return constraint, nil, nil
}

// closedRange is a range of versions without its spaces, which is a pre-release.
var closedRange = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+-v?[0-9]+\.[0-9]+(?:\.[0-9]+)?$`)

func takesNoVersion(c *tagset.Constraint) bool {
	tag, decided := tagset.Find(nil, c)
	return decided && tag == ""
}

// checkBoth refuses an expression and a constraint that no tag satisfies together.
func checkBoth(source TagRule, pattern *tagset.Pattern, constraint *tagset.Constraint) error {
	if tag, decided := tagset.Find(pattern, constraint); !decided || tag != "" {
		return nil
	}
	wanted, _ := tagset.Find(nil, constraint)
	version, _ := tagset.Find(pattern, everyVersion)
	if named, err := tagset.NewConstraint(withPreReleases(source.Semver)); err == nil {
		if pre, _ := tagset.Find(pattern, named); pre != "" {
			return gitops.FieldErrorf("", "no tag satisfies match and semver at once: match takes pre-releases such as %s, and semver %s takes none: a constraint that names one does, such as %s",
				pre, source.Semver, withPreReleases(source.Semver))
		}
	}
	if version != "" {
		return gitops.FieldErrorf("", "no tag satisfies match and semver at once: match takes versions such as %s, and semver such as %s; leave one of the two out, or widen it", version, wanted)
	}
	matched, _ := tagset.Find(pattern, nil)
	return gitops.FieldErrorf("", "no tag satisfies match and semver at once: what match takes is not a version (%s: %s), and none is taken out of a longer tag; leave one of the two out", matched, notVersion(matched))
}

var everyVersion, _ = tagset.NewConstraint(">=0.0.0-0")
