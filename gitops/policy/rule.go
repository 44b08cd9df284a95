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

// TagRule says which tags an environment takes. At least one of its fields must
// be set; where both are, both must hold.
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
	source     TagRule
	match      *regexp.Regexp
	constraint *semver.Constraints
}

// compileRule compiles a rule, and refuses one that no tag satisfies: pushes would be
// ignored for ever, and nothing would be red. The warnings are of rules that are
// hardly meant as they stand.
func compileRule(field string, source TagRule) (r rule, warnings []*gitops.Error, err error) {
	r = rule{source: source}
	if source.Match == "" && source.Semver == "" {
		return r, nil, gitops.FieldErrorf(field, "must have match or semver: an environment that takes every tag takes the wrong one some day")
	}
	var pattern *tagset.Pattern
	var constraint *tagset.Constraint
	var problems []error
	if source.Match != "" {
		pattern, err = compileMatch(field+".match", source.Match)
		problems = append(problems, err)
	}
	if source.Semver != "" {
		constraint, warnings, err = compileSemver(field+".semver", source.Semver)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return r, nil, err
	}
	if pattern != nil {
		r.match = regexp.MustCompile(`^(?:` + source.Match + `)$`)
		of := warnOfMatch(field+".match", source.Match, pattern)
		if len(of) == 0 && constraint == nil && takesAny(pattern) {
			of = append(of, gitops.FieldErrorf(field+".match", "takes tags as different as %s: every image that is pushed counts as built for this environment; name what its tags have in common, such as main-[0-9a-f]{7,40}",
				strings.Join(unlike, ", ")))
		}
		warnings = append(warnings, of...)
	}
	if constraint != nil {
		r.constraint, _ = semver.NewConstraint(source.Semver) // compileSemver has parsed it
	}
	if pattern != nil && constraint != nil {
		err = checkBoth(field, source, pattern, constraint)
	}
	return r, warnings, err
}

// unlike are tags of images that are not built for one environment.
var unlike = []string{"edge", "main-1a2b3c4", "pr-42", "1.4.2", "feature_x"}

// takesAny reports whether an expression makes no difference between tags.
func takesAny(pattern *tagset.Pattern) bool {
	return !slices.ContainsFunc(unlike, func(tag string) bool { return !pattern.Matches(tag) })
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
func checkBoth(field string, source TagRule, pattern *tagset.Pattern, constraint *tagset.Constraint) error {
	if tag, decided := tagset.Find(pattern, constraint); !decided || tag != "" {
		return nil
	}
	wanted, _ := tagset.Find(nil, constraint)
	version, _ := tagset.Find(pattern, everyVersion)
	if named, err := tagset.NewConstraint(withPreReleases(source.Semver)); err == nil {
		if pre, _ := tagset.Find(pattern, named); pre != "" {
			return gitops.FieldErrorf(field, "no tag satisfies match and semver at once: match takes pre-releases such as %s, and semver %s takes none: a constraint that names one does, such as %s",
				pre, source.Semver, withPreReleases(source.Semver))
		}
	}
	if version != "" {
		return gitops.FieldErrorf(field, "no tag satisfies match and semver at once: match takes versions such as %s, and semver such as %s; leave one of the two out, or widen it", version, wanted)
	}
	matched, _ := tagset.Find(pattern, nil)
	return gitops.FieldErrorf(field, "no tag satisfies match and semver at once: what match takes is not a version (%s: %s), and none is taken out of a longer tag; leave one of the two out", matched, notVersion(matched))
}

var everyVersion, _ = tagset.NewConstraint(">=0.0.0-0")
