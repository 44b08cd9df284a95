package policy_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// A push goes up only where versions are compared; an order goes where it says.
func TestOnlyAPushOfAVersionGoesUpOnly(t *testing.T) {
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{
			"by-name":    {Tags: policy.TagRule{Match: ".*"}},
			"by-version": {Tags: policy.TagRule{Semver: ">=1.0.0"}},
			"by-both":    {Tags: policy.TagRule{Match: ".*", Semver: ">=1.0.0"}},
			"freely":     {Tags: policy.TagRule{Semver: ">=1.0.0"}, Downgrades: true},
		},
		Apps: map[string]policy.App{"api": {Repository: registry + "myshop/api"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Plan(gitops.Event{Push: &gitops.ImagePush{Account: "123456789012", Region: "ap-northeast-2", Repository: "myshop/api", Tag: "1.2.3"}})
	if err != nil || len(d.Updates) != 4 {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, u := range d.Updates {
		if want := strings.HasPrefix(u.Environment, "by-") && u.Environment != "by-name"; u.OnlyUp != want {
			t.Errorf("%s: a push only goes up: %t, want %t", u.Environment, u.OnlyUp, want)
		}
		ordered, err := p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: u.Environment, Tag: "1.2.3"}}})
		if err != nil || ordered.Updates[0].OnlyUp {
			t.Errorf("%s: an order only goes up: %+v, %v", u.Environment, ordered.Updates, err)
		}
	}
}

func TestDowngradesNeedVersions(t *testing.T) {
	_, err := policy.New(policy.Config{Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: ".*"}, Downgrades: true}}})
	if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "environments.dev.downgrades: has no meaning without tags.semver") {
		t.Errorf("got %v", err)
	}
}

// What one rule calls a version the other does, and they order versions alike. The
// library takes numbers of up to 64 bits, so the tags here have no longer ones.
func checkOrder(t *testing.T, a, b string) {
	t.Helper()
	first, errFirst := parse(a)
	second, errSecond := parse(b)
	for tag, err := range map[string]error{a: errFirst, b: errSecond} {
		if (err == nil) != (gitops.VersionKey(tag) != "") {
			t.Errorf("%q has the key %q; the library says: %v", tag, gitops.VersionKey(tag), err)
		}
	}
	if errFirst != nil || errSecond != nil {
		return
	}
	if got, want := strings.Compare(gitops.VersionKey(a), gitops.VersionKey(b)), first.Compare(second); got != want {
		t.Errorf("%q and %q compare as %d, want %d: %q and %q", a, b, got, want, gitops.VersionKey(a), gitops.VersionKey(b))
	}
}

func parse(tag string) (*semver.Version, error) {
	return semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
}

func TestVersionsAreOrderedAsTheLibraryOrdersThem(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	number := func() string { return one("0", "1", "2", "9", "10", "11", "99", "100", "01", "18446744073709551615") }
	identifier := func() string {
		return one("0", "1", "2", "10", "01", "a", "b", "A", "-", "--", "rc", "rc1", "rc-1", "1a", "alpha", "")
	}
	version := func() string {
		tag := one("", "v", "") + number() + "." + number() + one(".", ".", ".", "") + number()
		if r.IntN(2) == 0 {
			tag += "-" + identifier()
			for range r.IntN(3) {
				tag += "." + identifier()
			}
		}
		return tag + one("", "", "", "+1", "+a.b")
	}
	for range 200_000 {
		if checkOrder(t, version(), version()); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzVersionKey(f *testing.F) {
	for _, pair := range [][2]string{{"1.0.0", "1.0.0-rc.1"}, {"v1.10.0", "1.9.0"}, {"1.0.0-alpha.beta", "1.0.0-alpha-"}, {"1.2", "01.2.3"}, {"1.0.0+a", "1.0.0+b"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, tag := range []string{a, b} {
			if len(tag) > 128 || longestNumber(tag) > 19 {
				t.Skip("the library calls it another thing")
			}
		}
		checkOrder(t, a, b)
	})
}

// longestNumber is the length of the longest row of digits.
func longestNumber(text string) (longest int) {
	for _, digits := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		longest = max(longest, len(digits))
	}
	return longest
}
