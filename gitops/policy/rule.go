package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
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

func compileRule(field string, source TagRule) (rule, error) {
	r := rule{source: source}
	if source.Match == "" && source.Semver == "" {
		return r, gitops.FieldErrorf(field, "must have match or semver: an environment that takes every tag takes the wrong one some day")
	}
	if source.Match != "" {
		// By itself first: "a)|(b" is none, and would be one between our brackets.
		if _, err := regexp.Compile(source.Match); err != nil {
			return r, gitops.FieldErrorf(field+".match", "is not a regular expression: %v", err)
		}
		r.match = regexp.MustCompile(`^(?:` + source.Match + `)$`)
	}
	if source.Semver != "" {
		c, err := semver.NewConstraint(source.Semver)
		if err != nil {
			return r, gitops.FieldErrorf(field+".semver", "is not a version constraint: %v", err)
		}
		r.constraint = c
	}
	return r, nil
}

// refuses returns why the rule does not take the tag, or "" when it does.
func (r rule) refuses(tag string) string {
	if r.match != nil && !r.match.MatchString(tag) {
		return fmt.Sprintf("tag %s does not match %s", tag, r.source.Match)
	}
	if r.constraint == nil {
		return ""
	}
	version, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return fmt.Sprintf("tag %s is not a semantic version (three numbers), and the rule is semver %s", tag, r.source.Semver)
	}
	if !r.constraint.Check(version) {
		return fmt.Sprintf("tag %s does not satisfy semver %s", tag, r.source.Semver)
	}
	return ""
}
