package tagset_test

import (
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// rules are pairs of a pattern and a constraint, "" for none, and whether there is a
// tag.
var rules = []struct {
	match, semver string
	exists        bool
}{
	{`main-[0-9a-f]{7,40}`, "", true},
	{`main-*`, "", true},
	{`(?i)MAIN-\d+`, "", true},
	{`[^a-z]+`, "", true},
	{`\bmain\b.*`, "", true},
	{`main\B`, "", false},
	{`main-\b`, "", false},
	{`(?m:^main$)`, "", true},
	{`main$-.*`, "", false},
	{`/^main-/`, "", false},
	{`glob:main-*`, "", false},
	{`${BRANCH}-.*`, "", false},
	{"“main-.*”", "", false},
	{` main-.*`, "", false},
	{`-main`, "", false},
	{`\.hidden`, "", false},
	{`latest`, "", false},
	{`(?i)latest`, "", true},
	{`latest|stable`, "", true},
	{`latest.?`, "", true},
	{`lates.`, "", true},
	{`sha256-[0-9a-f]{64}\.(sig|att|sbom)`, "", false},
	{`sha256-[0-9a-f]{64}`, "", false},
	{`sha512-[0-9a-f]{64}`, "", false},
	{`sha256-[0-9a-f]{7,63}`, "", true},
	{`sha256-[0-9a-f]{65}`, "", true},
	{`sha256-[0-9a-f]{64}\.`, "", true},
	{`sha-[0-9a-f]{40}`, "", true},
	{`[0-9a-f]{128}`, "", true},
	{`[0-9a-f]{129}`, "", false},
	{`a{100}b{29,}`, "", false},
	{`1\.0\.0\+build`, "", false},
	{``, ">=1.0.0", true},
	{``, ">=1.0.0 <2.0.0", true},
	{``, ">2.0.0 <1.0.0", false},
	{``, "^1 ^2", false},
	{``, "<0.0.0", false},
	{``, "<0.0.0-0", false},
	{``, "<0.0.0-1", true},
	{``, ">1.0.0 <1.0.1", false},
	{``, ">1.0.0-0 <1.0.0", true},
	{``, ">1.0.0-rc.1 <1.0.0-rc.1.0", false},
	{``, ">1.0.0-rc.1 <1.0.0-rc.2", true},
	{``, "=1.2.3 !=1.2.3", false},
	{``, "1.2.x !=1.2.0", true},
	{``, "1.0 - 2.0", true},
	{``, "2.0 - 1.0", false},
	{``, ">1.0.0 <1.0.0 || 3.x", true},
	{``, "*", true},
	{``, ">18446744073709551615.0.0", true},
	{``, ">18446744073709551615.18446744073709551615.18446744073709551615", false},
	{`main-.*`, ">=1.0.0", false},
	{`v.*`, ">=1.0.0", true},
	{`[0-9]+\.[0-9]+`, "*", false},
	{`v1\..*`, "^2", false},
	{`v1\..*`, "^1.9", true},
	{`v?[0-9.]+`, ">=1.0.0-0", true},
	{`.*-rc\..*`, ">=1.0.0", false},
	{`.*-rc\.[0-9]+`, ">=1.0.0-0", true},
	{`1\.2\.[0-9]`, ">1.2.9 <2.0.0", false},
	{`1\.2\.[0-9]`, ">1.2.8 <2.0.0", true},
	{`1\.[0-9]{3}\.0`, ">=1.150.0 <1.160.0", true},
	{`1\.[0-9]{2}\.0`, ">=1.150.0", false},
	{`0[0-9]\.1\.1`, "*", false},
	{`1\.0\.0-[a-z]+`, "<1.0.0-alpha", true}, // "a" is before it
	{`1\.0\.0-zeta`, "<1.0.0-alpha", true},   // undecided: nothing is said against it
	{`release-.*`, "*", false},
}

func TestFind(t *testing.T) {
	for _, c := range rules {
		tag, decided := find(t, c.match, c.semver)
		if exists := tag != "" || !decided; exists != c.exists {
			t.Errorf("match %q semver %q: found %q, decided %t", c.match, c.semver, tag, decided)
		}
		if tag != "" && !takes(t, c.match, c.semver, tag) {
			t.Errorf("match %q semver %q: the rule does not take %q", c.match, c.semver, tag)
		}
	}
}

func find(t testing.TB, match, constraint string) (tag string, decided bool) {
	t.Helper()
	var p *tagset.Pattern
	var c *tagset.Constraint
	var err error
	if match != "" {
		if p, err = tagset.Compile(match); err != nil {
			t.Fatal(err)
		}
	}
	if constraint != "" {
		if c, err = tagset.NewConstraint(constraint); err != nil {
			t.Fatal(err)
		}
	}
	return tagset.Find(p, c)
}

// takes decides without the search.
func takes(t testing.TB, match, constraint, tag string) bool {
	t.Helper()
	if gitops.CheckTag("tag", tag) != nil {
		return false
	}
	if match != "" {
		if p, err := tagset.Compile(match); err != nil || !p.Matches(tag) {
			return false
		}
	}
	if constraint == "" {
		return true
	}
	version, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return false
	}
	c, err := semver.NewConstraint(constraint)
	return err == nil && c.Check(version)
}

// What is said to have no tag has none: no tag that a rule takes may be met
// afterwards. And what is found is one that it takes.
func FuzzFind(f *testing.F) {
	for _, c := range rules {
		for _, tag := range []string{"main-1a2b3c4", "v1.2.3", "1.2.3-rc.1", "2.0.0", "1.0.0-zeta"} {
			f.Add(c.match, c.semver, tag)
		}
	}
	f.Fuzz(func(t *testing.T, match, constraint, tag string) {
		if len(match) > 60 || len(constraint) > 60 || match == "" && constraint == "" {
			return
		}
		if _, err := tagset.Compile(match); err != nil {
			return
		}
		if _, err := tagset.NewConstraint(constraint); err != nil && constraint != "" {
			return
		}
		found, decided := find(t, match, constraint)
		if found != "" && !takes(t, match, constraint, found) {
			t.Errorf("match %q semver %q does not take %q", match, constraint, found)
		}
		if decided && found == "" && takes(t, match, constraint, tag) {
			t.Errorf("match %q semver %q takes %q, and is said to take nothing", match, constraint, tag)
		}
	})
}

// Every rule that takes a tag made at random is known to take one.
func TestFindKnowsRulesMadeForATag(t *testing.T) {
	for _, tag := range randomTags(300) {
		for _, match := range patternsFor(tag) {
			if found, decided := find(t, match, ""); decided && found == "" {
				t.Errorf("match %q takes %q, and is said to take nothing", match, tag)
			}
		}
	}
	for _, version := range randomVersions(100) {
		for _, constraint := range constraintsFor(version) {
			for _, match := range []string{"", `v?[0-9].*`, `.*` + version[len(version)-1:]} {
				if !takes(t, match, constraint, version) {
					continue
				}
				if found, decided := find(t, match, constraint); decided && found == "" {
					t.Errorf("match %q semver %q takes %q, and is said to take nothing", match, constraint, version)
				}
			}
		}
	}
}
