package policy_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// compile is what a rule of the environment dev leads to.
func compile(rule policy.TagRule) (*policy.Policy, error) {
	return policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: rule}},
		Apps:         map[string]policy.App{"api": {}},
	})
}

// Rules that no tag satisfies, each with what is wrong and the way out.
func TestARuleThatNoTagSatisfiesIsRefused(t *testing.T) {
	for _, c := range []struct{ match, semver, says string }{
		{match: `/^main-/`, says: "matches no tag (it is a regular expression for the whole tag): no tag has a slash; write ^main-.*"},
		{match: `/main-[0-9]+$/i`, says: "no tag has a slash; write .*main-[0-9]+$"},
		{match: `refs/heads/main`, says: `it wants '/', which no tag has; it is compared with the tag alone, without the image's name or a git ref`},
		{match: `glob:main-*`, says: "no tag has a colon, and there are no globs; leave glob: out, and write main-.*"},
		{match: `regexp:^main-.*$`, says: "leave regexp: out, and write ^main-.*$"},
		{match: `regex: main-.*`, says: "leave regex: out, and write main-.*"},
		{match: `semver:>=1.0.0`, says: `write semver: ">=1.0.0" in place of match`},
		{match: `pattern=main-.*`, says: "leave pattern= out, and write main-.*"},
		{match: `^main-`, says: `matches only "main-", and no more of a tag that begins with it (it is a regular expression for the whole tag): write ^main-.*`},
		{match: `^main-|^dev-`, says: `matches only "dev-", and no more of a tag that begins with it (it is a regular expression for the whole tag): write (?:^main-|^dev-).*`},
		{match: `-main$|-dev$`, says: `write .*(?:-main$|-dev$) for tags that end so`},
		{match: `$BRANCH-.*`, says: "nothing fills in a variable"},
		{match: `%BRANCH%-.*`, says: "nothing fills in a variable"},
		{match: `<branch>-.*`, says: "nothing fills in a variable"},
		{match: `main–.*`, says: "it wants '–', which no tag has; tags have plain letters, digits, . _ and -"},
		{match: `main-#.*`, says: "it wants '#', which no tag has; leave it out"},
		{match: `>=1.0.0 <2.0.0`, says: `a range of versions is a semver rule; write semver: ">=1.0.0 <2.0.0" in place of match`},
		{match: `1.0.0 || 2.0.0`, says: `write semver: "1.0.0 || 2.0.0" in place of match`},
		{match: `^v`, says: `matches only "v"`},
		{match: `-main$`, says: "no tag begins with '-'; write .*-main$"},
		{match: `\.dev`, says: `no tag begins with '.'`},
		{match: `${BRANCH}-.*`, says: "nothing fills in a variable such as ${BRANCH} here"},
		{match: `{{ .Branch }}-.*`, says: "nothing fills in a variable"},
		{match: `“main-.*”`, says: "it has typographic quotes; write plain ones around it, or none: main-.*"},
		{match: `‘main-.*’`, says: "it has typographic quotes"},
		{match: ` main-.*`, says: "it begins with a space; write main-.*"},
		{match: "main-.*\n", says: "it ends in a space or line break; write main-.*"},
		{match: `"main-.*"`, says: `it wants '"', which no tag has; leave the inner quotes out: main-.*`},
		{match: `~1.2`, says: `write semver: "~1.2" in place of match`},
		{match: `~main-`, says: "it wants '~', which no tag has"},
		{match: `!main-.*`, says: "it wants '!', which no tag has; nothing is negated here"},
		{match: `main-.*,dev-.*`, says: "it wants ',', which no tag has; write | between alternatives"},
		{match: `main-.* dev-.*`, says: "it wants ' ', which no tag has; write | between alternatives"},
		{match: `{main,dev}-.*`, says: "it wants '{', which no tag has; write ( | ) for alternatives"},
		{match: `myshop/api:v.*`, says: "it is compared with the tag alone"},
		{match: `v1\.0\.0\+build.*`, says: "registries and CI write - or _ in place of +"},
		{match: `latest`, says: `"latest" is never taken, and it matches nothing else`},
		{match: `^latest$`, says: `"latest" is never taken`},
		{match: `sha256-[0-9a-f]{64}\.sig`, says: "only the tags of signatures, attestations and SBOMs are like that"},
		{match: `main$-.*`, says: "nothing at all matches it"},
		{match: `()`, says: "it matches only the empty text"},
		{match: `[0-9a-f]{129}`, says: "it wants more than the 128 characters that a tag may have"},
		{match: `é+`, says: "it wants 'é', which no tag has"},
		{semver: ">2.0.0 <1.0.0", says: "tags.semver: no version satisfies >2.0.0 <1.0.0: what stands side by side must hold at once; write || between alternatives"},
		{semver: "^1 ^2", says: "no version satisfies ^1 ^2"},
		{semver: "<0.0.0", says: "no version satisfies <0.0.0"},
		{semver: "=1.2.3, =1.2.4", says: "no version satisfies"},
		{semver: "semver:>=1.0.0", says: `tags.semver: is not a version constraint: improper constraint: "semver:>=1.0.0"; leave semver: out: ">=1.0.0"`},
		{semver: "newest", says: `write "*" for every release`},
		{semver: "minor", says: `name the versions, such as "^1"`},
		{semver: "[1.0,2.0)", says: `write a range of brackets as ">=1.0.0 <2.0.0"`},
		{semver: ">=1.0.0 && <2.0.0", says: "write a space between what must hold at once"},
		{semver: "≥1.0.0", says: "write >= and <="},
		{semver: "“>=1.0.0”", says: "it has typographic quotes"},
		{semver: ">=1.0.0 | >=3.0.0", says: "write || between alternatives"},
		{semver: "^1 or ^2", says: "write || between alternatives"},
		{semver: "^1 ||", says: "leave || out at the ends"},
		{semver: "==1.2.3", says: "write = once"},
		{semver: `"^1"`, says: "leave the inner quotes out: ^1"},
		{semver: "${VERSION}", says: "nothing fills in a variable here"},
		{semver: "main", says: `write it such as ">=1.0.0"`},
		{match: `main-.*`, semver: ">=1.0.0", says: "tags: no tag satisfies match and semver at once: what match takes is not a version (main-: three numbers, such as 1.4.2), and none is taken out of a longer tag"},
		{match: `v1\..*`, semver: "^2", says: "match takes versions such as v1.0.0, and semver such as 2.0.0"},
		{match: `.*-rc\.[0-9]+`, semver: ">=1.0.0", says: "no tag satisfies match and semver at once: match takes pre-releases such as 1.0.0-rc.0, and semver >=1.0.0 takes none: a constraint that names one does, such as >=1.0.0-0"},
		{match: `[0-9]+\.[0-9]+`, semver: "*", says: "three numbers, and it has 2"},
		{match: `*-main`, says: "; if it is meant as a glob, write .*-main"},
		{match: `**`, says: "write .*"},
		{match: `main-**`, says: "write main-.*"},
		{match: `sha-???????`, says: "if it is meant as a glob, write sha-......."},
		{match: `v[0-9]{2}*`, says: "what is repeated is not repeated once more"},
		{match: `(main`, says: `each ( needs its ), and \( and \) stand for the characters`},
		{match: `main)`, says: `each ( needs its )`},
		{match: `main-[a-z`, says: `each [ needs its ]`},
		{match: `main-[z-a]`, says: `ranges that go up`},
		{match: `?.1.0`, says: `write .\.1\.0`},
		{match: `^(?!latest$).*`, says: `RE2 has no lookahead or lookbehind: say what the wanted tags have, such as main-[0-9a-f]{7,40}, or take versions with semver; "latest" is never taken`},
		{match: `main-.*(?<!-debug)`, says: "RE2 has no lookahead or lookbehind"},
		{match: `(?>main)-.*`, says: "no atomic groups"},
		{match: `(a)-\1`, says: "RE2 has no references back to a group"},
		{match: `main-\Z`, says: "a backslash stands before one of"},
		{match: `main-[0-9]++`, says: "RE2 has no possessive repetition: write +"},
		{match: `[0-9a-f]{2000}`, says: "a repetition is at most 1000 times"},
	} {
		_, err := compile(policy.TagRule{Match: c.match, Semver: c.semver})
		if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "environments.dev.tags") {
			t.Errorf("match %q semver %q:\n got %v\nwant %s", c.match, c.semver, err, c.says)
		}
	}
}

// Rules that take a tag, and are hardly meant as they stand. What is to be written
// instead takes the tag that was meant.
func TestARuleThatIsHardlyMeantIsWarnedOf(t *testing.T) {
	for _, c := range []struct{ match, meant, says string }{
		{`main-*`, "main-1a2b3c4", `in a regular expression the star repeats the hyphen before it, so this takes "main", "main-", "main--"; for anything in that place write main-.*`},
		{`v*`, "v1.2.3", `the star repeats the v before it, so this takes "v", "vv"; for anything in that place write v.*`},
		{`dev-?`, "dev-1", `the question mark means that the hyphen before it may be missing, so this takes "dev", "dev-"; for one more character write dev-.`},
		{`v*.*.*`, "v1.2.3", `so this takes every tag; for anything in that place write v.*\..*\..*`},
		{`release_*`, "release_7", "the star repeats the underscore"},
		{`main*`, "main-1", "the star repeats the n"},
		{`(main|dev)-*`, "dev-1", "write (main|dev)-.*"},
		{`main-*|dev-*`, "dev-1", "write main-.*|dev-.*"},
		{`main-*-prod`, "main-7-prod", "write main-.*-prod"},
		{`^main-*$`, "main-7", "write ^main-.*$"},
		{`v[0-9]-*`, "v1-rc", "write v[0-9]-.*"},
		{`v[!0-9]+`, "", "for every other character write [^"},
		{`main-`, "main-7", `takes only tags such as "main-" (it is a regular expression for the whole tag); for every tag that begins with it write main-.*`},
		{`main-+`, "", `takes only tags such as "main-"`},
		{`^release`, "release-7", `takes only the tag "release" (it is a regular expression for the whole tag); for every tag that begins with it write ^release.*`},
		{`dev-??`, "dev-12", `so this takes "dev", "dev-"; for two more characters write dev-..`},
		{`[main|dev]-.*`, "", `[main|dev] is one character, so this takes tags such as "a-"; for alternatives write (main|dev)`},
		{`main-[:xdigit:]+`, "", `for the class write [[:xdigit:]]`},
		{`1.2.*`, "", `so this takes "1.20.0", too; for a range of versions write semver: "1.2.*" in place of match, for tags that begin with it 1\.2\..*`},
		{`v1.*`, "", `so this takes "v10.0.0", too`},
		{`v1.x`, "", `write semver: "v1.x" in place of match`},
		{`^1.2`, "", `write semver: "^1.2" in place of match`},
		{`^v[0-9]`, "v10.2", `takes only tags such as "v0" (it is a regular expression for the whole tag); for every tag that begins with it write ^v[0-9].*`},
		{`^main-\w`, "main-1a2b", `write ^main-\w.*`},
		{`^(main|dev)`, "dev-7", `takes only tags such as "dev" (it is a regular expression for the whole tag); for every tag that begins with it write ^(main|dev).*`},
		{`^main|^dev`, "main-7", `write (?:^main|^dev).*`},
		{`main$|prod$`, "7-prod", `write .*(?:main$|prod$)`},
		{`main-.*|^dev-`, "dev-7", `its alternative "^dev-" matches only "dev-"`},
		{`main-.*|glob:dev-*`, "dev-7", `its alternative "glob:dev-*" matches no tag`},
		{`stable|latest`, "", `its alternative "latest" matches no tag (it is a regular expression for the whole tag): "latest" is never taken`},
		{`prod$`, "7-prod", `takes only the tag "prod" (it is a regular expression for the whole tag); for every tag that ends in it write .*prod$`},
	} {
		p, err := compile(policy.TagRule{Match: c.match})
		if err != nil {
			t.Errorf("%s: %v", c.match, err)
			continue
		}
		if len(p.Warnings()) != 1 || p.Warnings()[0].Field != "environments.dev.tags.match" || !strings.Contains(p.Warnings()[0].Message, c.says) {
			t.Errorf("%s: warned of with %v, want %s", c.match, p.Warnings(), c.says)
			continue
		}
		if _, way, _ := strings.Cut(p.Warnings()[0].Message, " write "); c.meant != "" && !regexp.MustCompile(`^(?:`+way+`)$`).MatchString(c.meant) {
			t.Errorf("%s: what is to be written, %s, does not match %s", c.match, way, c.meant)
		}
	}
}

// A constraint of which a part takes nothing, or that is a version where a range was
// meant.
func TestAConstraintThatIsHardlyMeantIsWarnedOf(t *testing.T) {
	for semver, says := range map[string]string{
		"1.2.3-2.3.4":                         `takes only the pre-release 1.2.3-2.3.4; for the versions from 1.2.3 to 2.3.4 write a space on both sides of the hyphen: "1.2.3 - 2.3.4"`,
		">=1.0.0 <2.0.0 || >3.0.0 <2.0.0":     "no version satisfies its alternative >3.0.0 <2.0.0: what stands side by side must hold at once",
		">=1.0.0 <2.0.0 || >=3.0.0":           "",
		"1.2.3-rc.1":                          "",
		"1.2.3 - 2.3.4":                       "",
		">=1.2.3-0 <2.0.0-0 || 3.1.0 - 3.2.0": "",
	} {
		p, err := compile(policy.TagRule{Semver: semver})
		switch {
		case err != nil:
			t.Errorf("%s: %v", semver, err)
		case says == "" && len(p.Warnings()) > 0, says != "" && (len(p.Warnings()) != 1 || p.Warnings()[0].Field != "environments.dev.tags.semver" || p.Warnings()[0].Message != says):
			t.Errorf("%s: warned of with %v, want %s", semver, p.Warnings(), says)
		}
	}
}

// What people write and mean is neither refused nor warned of.
func TestARuleThatIsMeant(t *testing.T) {
	for _, match := range []string{
		`main-[0-9a-f]{7,40}`, `main-.*`, `^main-.*$`, `v?[0-9.]+`, `\d{8}-\d+`, `v[0-9]*`, `[a-z]+-?[0-9]+`, `v0*[1-9][0-9]*`, `(main|dev)-.*`,
		`main`, `^stable$`, `stable|edge`, `(?i)release-.*`, `[0-9a-f]{40}`, `v1\.2\.\d+`, `2024.*`, `1\.2\..*`, `releases?`, `\p{L}+`, `(?P<branch>main)-(?<sha>\w+)`, `\Qv1.2\E`, `[[:digit:]]+`,
		`.*-prod$`, `pr-\d+`, `[^-]+-\d+`, `sha-[0-9a-f]{7}`, `v?\d+\.\d+\.\d+(-rc\.\d+)?`, `x*[0-9]+`,
		`^main-.*\z`, `\bmain\b.*`, `(?i)^stable$`, `^main-[0-9a-f]{7}`, `^(main|dev)$`, `[a-z|0-9]+`, `^\d+\.\d+\.\d+`, `main-[[:xdigit:]]{7}`, `1\.0\.0`,
	} {
		p, err := compile(policy.TagRule{Match: match})
		if err != nil {
			t.Errorf("%s: %v", match, err)
		} else if len(p.Warnings()) > 0 {
			t.Errorf("%s: warned of with %v", match, p.Warnings())
		}
	}
}

// An order is told why its tag is refused and what the rule would take.
func TestRefusalsOfVersions(t *testing.T) {
	for _, c := range []struct{ semver, tag, says string }{
		{">=1.0.0", "1.2.3-rc.1", "tag 1.2.3-rc.1 is a pre-release, and semver >=1.0.0 takes none: a constraint that names one does, such as >=1.0.0-0"},
		{">=1.0.0 <2.0.0", "v1.2.3-rc.1", "such as >=1.0.0-0 <2.0.0"},
		{"^1.2", "1.3.0-beta", "such as ^1.2.0-0"},
		{"1.20", "1.20.1-beta", "such as ~1.20.0-0"},
		{"1.x || 3.x", "3.1.0-beta", "such as ^1.0.0-0 || ^3.0.0-0"},
		{"~1", "1.7.0-beta", "such as ^1.0.0-0"},
		{"<=2", "2.7.0-beta", "such as <=2-0"},
		{"*", "1.0.0-beta", "such as >=0.0.0-0"},
		{"!=1.2.3", "1.2.4-beta", "such as >=0.0.0-0 !=1.2.3"},
		{"1.0 - 2.0", "1.5.0-beta", "such as 1.0.0-0 - 2.0"},
		{">=1.0.0", "0.9.0-rc.1", "tag 0.9.0-rc.1 does not satisfy semver >=1.0.0"},
		{"=1.0.0", "1.0.0-rc.1", "tag 1.0.0-rc.1 does not satisfy semver =1.0.0"},
		{"*", "2024.01.15", "tag 2024.01.15 is not a semantic version (a number of a version has no leading zero, as 01 has), and the rule is semver *"},
		{"*", "01.2.3", "no leading zero, as 01 has"},
		{"*", "1.2.3-01", "no leading zero, as 01 has"},
		{"*", "1.2.3_build5", "a version has no underscore; write - before a pre-release"},
		{"*", "V1.2.3", "it begins with a capital V; only a small v may stand before the numbers"},
		{"*", "vv1.2.3", "more than one v"},
		{"*", "1.2", "three numbers, and it has 2"},
		{"*", "1.2.3.4", "three numbers, and it has 4"},
		{"*", "20240102", "three numbers, and it has 1"},
		{"*", "1.2.99999999999999999999", "one of its numbers is too large"},
		{"*", "release-1.2.3", "a version begins with its three numbers or v, and nothing stands before them"},
		{"*", "1.2.3.rc1", "behind the three numbers only - and a pre-release may stand"},
		{"*", "main-1a2b3c4", "three numbers, such as 1.4.2"},
	} {
		p, err := compile(policy.TagRule{Semver: c.semver})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: c.tag}}})
		if err == nil || !strings.Contains(err.Error(), "tag: dev: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("semver %s, tag %s:\n got %v\nwant %s", c.semver, c.tag, err, c.says)
		}
		if _, way, suggested := strings.Cut(c.says, "such as "); suggested && strings.Contains(c.says, "-0") {
			if p, err := compile(policy.TagRule{Semver: way}); err != nil {
				t.Errorf("what is suggested for %s is refused: %v", c.semver, err)
			} else if _, err := p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: c.tag}}}); err != nil {
				t.Errorf("what is suggested for %s does not take %s: %v", c.semver, c.tag, err)
			}
		}
	}
}
