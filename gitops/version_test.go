package gitops_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The order is that of semver.org 2.0.0, item 11, whose own examples are in it.
func TestVersionKeysAreInTheOrderOfVersions(t *testing.T) {
	rising := []string{
		"0.0.0-0", "0.0.0", "0.0.9", "0.0.10", "0.9.0", "0.10.0",
		"1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-11.a", "1.0.0--", "1.0.0--1", "1.0.0-1a", "1.0.0-A", "1.0.0-a-b",
		"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.1.0", "1.0.0-alpha.beta", "1.0.0-alpha-", "1.0.0-alpha-.1", "1.0.0-alpha1",
		"1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-beta.99999999999999999999", "1.0.0-beta.100000000000000000000", "1.0.0-beta.x", "1.0.0-rc.1",
		"1.0.0", "1.0.1-0", "1.0.1", "1.9.5", "1.10.0", "2.0.0", "9.0.0", "10.0.0", "2024.1.15",
		"99999999999999999999.0.0", "100000000000000000000.0.0",
	}
	for i, tag := range rising {
		if i > 0 && (!gitops.LowerVersion(rising[i-1], tag) || gitops.LowerVersion(tag, rising[i-1])) {
			t.Errorf("%s is not lower than %s: %q and %q", rising[i-1], tag, gitops.VersionKey(rising[i-1]), gitops.VersionKey(tag))
		}
		for _, same := range []string{"v" + tag, tag + "+build.7", tag + "+0.0.1-x"} {
			if gitops.VersionKey(same) != gitops.VersionKey(tag) {
				t.Errorf("%s has the key %q, and %s has %q", same, gitops.VersionKey(same), tag, gitops.VersionKey(tag))
			}
		}
	}
	if !slices.IsSortedFunc(rising, func(a, b string) int { return strings.Compare(gitops.VersionKey(a), gitops.VersionKey(b)) }) {
		t.Error("the keys do not rise")
	}
}

func TestATagThatIsNotAVersionHasNoKey(t *testing.T) {
	for _, tag := range []string{
		"", "v", "latest", "main-1a2b3c4", "1", "1.2", "1.2.3.4", "V1.2.3", "vv1.2.3", "v.1.2.3", " 1.2.3", "1.2.3 ", "1.2.3\n",
		"01.2.3", "1.02.3", "1.2.03", "2024.01.15", "1.2.x", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3-a.01", "1.2.3_build5", "1.2.3-é", "1.2.3+",
		"1.2.3+a..b", "-1.2.3", "1.2.3-" + strings.Repeat("a", 123),
	} {
		if key := gitops.VersionKey(tag); key != "" {
			t.Errorf("%q has the key %q", tag, key)
		}
		if gitops.LowerVersion(tag, "1.0.0") || gitops.LowerVersion("1.0.0", tag) {
			t.Errorf("%q is lower or higher than a version", tag)
		}
	}
}

func TestLowerThanNamesBothVersionsAndTheWayOut(t *testing.T) {
	got := gitops.LowerThan(gitops.Update{App: "api", Environment: "prod", Tag: "1.9.5"}, "2.0.0", "is on the branch (update u1)")
	const want = "1.9.5 is lower than 2.0.0, which is on the branch (update u1): an image that is pushed does not lower the version of api in prod. To go down, order it by name: tallyman update api 1.9.5 --env prod"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
