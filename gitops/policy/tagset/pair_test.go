package tagset_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/policy/tagset"
)

// pair is two rules that must hold at once.
type pair struct {
	match, semver   string
	match2, semver2 string
}

// pairs are such, and whether there is a tag.
var pairs = map[pair]bool{
	{`main-[0-9a-f]{7,40}`, "", `main-.*`, ""}:                        true,
	{`main-.*`, "", `dev-.*`, ""}:                                     false,
	{`.*-main`, "", `api-.*`, ""}:                                     true,
	{`api-[0-9]+`, "", `.*-main`, ""}:                                 false,
	{`(main|dev)-.*`, "", `(dev|qa)-[0-9]+`, ""}:                      true,
	{`[0-9a-f]{40}`, "", `[0-9a-z]{41}`, ""}:                          false,
	{`\bmain\b.*`, "", `main[a-z]*`, ""}:                              true,
	{`main\b-?.*`, "", `main[a-z]+`, ""}:                              false,
	{`a{60}.*`, "", `.*b{69}`, ""}:                                    false,
	{`a{60}.*`, "", `.*b{68}`, ""}:                                    true,
	{`latest|v1`, "", `latest|v2`, ""}:                                false,
	{`v.*`, "", "", ">=1.0.0"}:                                        true,
	{`main-.*`, "", "", ">=1.0.0"}:                                    false,
	{"", ">=1.0.0", "", "^2"}:                                         true,
	{"", ">=1.0.0 <2.0.0", "", ">=2.0.0"}:                             false,
	{"", ">=1.0.0 <=2.0.0", "", ">=2.0.0"}:                            true,
	{"", "^1 || ^3", "", "^2 || ^4"}:                                  false,
	{"", "^1 || ^3", "", "^2 || ^3.4"}:                                true,
	{"", ">=1.0.0-0", "", ">=1.0.0"}:                                  true,
	{"", ">=1.0.0-0 <1.0.0", "", ">=1.0.0-0"}:                         true,
	{"", ">=1.0.0-0 <1.0.0", "", ">=1.0.0"}:                           false,
	{`v?[0-9.]+`, ">=1.0.0", `v1\..*`, "<1.5.0"}:                      true,
	{`v?[0-9.]+`, ">=1.5.0", `v1\..*`, "<1.5.0"}:                      false,
	{`v.*`, "", `[0-9].*`, "*"}:                                       false,
	{`.*-rc\.[0-9]+`, "", "", ">=1.0.0"}:                              false,
	{`.*-rc\.[0-9]+`, "", "", ">=1.0.0-0"}:                            true,
	{`.*-rc\.[0-9]+`, ">=1.0.0-0", `1\.2\..*`, ">=1.2.0-rc.1 <1.3.0"}: true,
}

// rule makes what the search is asked with, "" for none.
func rule(t testing.TB, match, semver string) (p *tagset.Pattern, c *tagset.Constraint) {
	t.Helper()
	var err error
	if match != "" {
		if p, err = tagset.Compile(match); err != nil {
			t.Fatal(err)
		}
	}
	if semver != "" {
		if c, err = tagset.NewConstraint(semver); err != nil {
			t.Fatal(err)
		}
	}
	return p, c
}

func findBoth(t testing.TB, of pair) (tag string, decided bool) {
	t.Helper()
	p, c := rule(t, of.match, of.semver)
	q, d := rule(t, of.match2, of.semver2)
	return tagset.Find(tagset.Intersect(p, q), tagset.Both(c, d))
}

func takenByBoth(t testing.TB, of pair, tag string) bool {
	return takes(t, of.match, of.semver, tag) && takes(t, of.match2, of.semver2, tag)
}

// In either order two rules have a tag that both take, or none.
func TestFindOfTwoRules(t *testing.T) {
	for of, exists := range pairs {
		for _, of := range []pair{of, {of.match2, of.semver2, of.match, of.semver}} {
			tag, decided := findBoth(t, of)
			if !decided || (tag != "") != exists {
				t.Errorf("%+v: found %q, decided %t", of, tag, decided)
			}
			if tag != "" && !takenByBoth(t, of, tag) {
				t.Errorf("%+v: found %q, which one of the two does not take", of, tag)
			}
		}
	}
}

// Two rules made for one tag are known to have one.
func TestFindKnowsPairsMadeForATag(t *testing.T) {
	for _, tag := range randomTags(100) {
		all := patternsFor(tag)
		for _, match := range all {
			if of := (pair{match: match, match2: all[random.IntN(len(all))]}); takenByBoth(t, of, tag) {
				if found, decided := findBoth(t, of); decided && found == "" {
					t.Errorf("%+v takes %q, and is said to take nothing", of, tag)
				}
			}
		}
	}
	for _, version := range randomVersions(100) {
		all := constraintsFor(version)
		for _, constraint := range all {
			of := pair{match: `v?[0-9].*`, semver: constraint, match2: `.*` + version[len(version)-1:], semver2: all[random.IntN(len(all))]}
			if !takenByBoth(t, of, version) {
				continue
			}
			if found, decided := findBoth(t, of); decided && found == "" {
				t.Errorf("%+v takes %q, and is said to take nothing", of, version)
			}
		}
	}
}

func FuzzFindOfTwoRules(f *testing.F) {
	for of := range pairs {
		for _, tag := range []string{"main-1a2b3c4", "v1.2.3", "1.2.3-rc.1", "2.0.0"} {
			f.Add(of.match, of.semver, of.match2, of.semver2, tag)
		}
	}
	f.Fuzz(func(t *testing.T, match, semver, match2, semver2, tag string) {
		for _, text := range []string{match, match2} {
			if _, err := tagset.Compile(text); err != nil || len(text) > 60 {
				return
			}
		}
		for _, text := range []string{semver, semver2} {
			if _, err := tagset.NewConstraint(text); text != "" && err != nil || len(text) > 60 {
				return
			}
		}
		of := pair{match, semver, match2, semver2}
		found, decided := findBoth(t, of)
		if found != "" && !takenByBoth(t, of, found) {
			t.Errorf("%+v does not take %q", of, found)
		}
		if decided && found == "" && (match != "" || semver != "" || match2 != "" || semver2 != "") && takenByBoth(t, of, tag) {
			t.Errorf("%+v takes %q, and is said to take nothing", of, tag)
		}
	})
}

// A short text that means a very long expression is refused before it takes memory.
func TestAnExpressionHasABound(t *testing.T) {
	for expr, taken := range map[string]bool{
		`[0-9a-f]{7,40}`: true, `(v?[0-9]{1,4}\.){3}.{0,100}`: true, `a{1000}`: true, `((a{10}){10}){10}`: true,
		`a{1000}b{1000}c{1000}d{990}`: true, `a{1000}b{1000}c{1000}d{1000}`: false, `(main|dev|qa-west){1000}`: false,
	} {
		if _, err := tagset.Compile(expr); (err == nil) != taken {
			t.Errorf("%s: %v", expr, err)
		}
	}
}
