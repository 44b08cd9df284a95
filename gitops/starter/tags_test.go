package starter

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// A rule takes the tags that were seen and others of their kind, and the policy takes it
// without a warning.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seen string
		want Rule
	}{
		{"1.0.0 1.2.3", Rule{Semver: ">=1.0.0"}},
		{"v1.4.0 2.0.1", Rule{Semver: ">=1.0.0"}},
		{"0.4.3 0.12.0", Rule{Semver: ">=0.4.0"}},
		{"0.9.9 3.0.0", Rule{Semver: ">=0.9.0"}},
		{"2026.11.5", Rule{Semver: ">=2026.0.0"}},
		{"1.1.0-rc.1 1.1.0-rc.12 1.0.0", Rule{Match: `v?[0-9]+\.[0-9]+\.[0-9]+(-rc\.[0-9]+)?`, Semver: ">=1.0.0-0"}},
		{"1.1.0-rc1 1.2.0-beta2", Rule{Match: `v?[0-9]+\.[0-9]+\.[0-9]+(-(beta|rc)[0-9]+)?`, Semver: ">=1.0.0-0"}},
		{"1.1.0-main.1a2b3c4", Rule{Match: `v?[0-9]+\.[0-9]+\.[0-9]+(-main\.[0-9a-f]{7,40})?`, Semver: ">=1.0.0-0"}},
		{"main-1a2b3c4 main-1234567", Rule{Match: `main-[0-9a-f]{7,40}`}},
		{"main-1a2b3c4 develop-1a2b3c4", Rule{Match: `(develop|main)-[0-9a-f]{7,40}`}},
		{"sha-1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d", Rule{Match: `sha-[0-9a-f]{40}`}},
		{"1a2b3c4 abcdef1", Rule{Match: `[0-9a-f]{7,40}`}},
		{"20261105-143002-1a2b3c4", Rule{Match: `[0-9]{8}-[0-9]{6}-[0-9a-f]{7,40}`}},
		{"20261105143002", Rule{Match: `[0-9]{14}`}},
		{"main-1a2b3c4-1767366245", Rule{Match: `main-[0-9a-f]{7,40}-[0-9]{10}`}},
		{"2026-11-05T14-30-02Z 2026-01-02T15-04-05Z", Rule{Match: `[0-9]+-[0-9]+-[0-9]+T[0-9]+-[0-9]+-[0-9]+Z`}},
		{"build-9 build-410", Rule{Match: `build-[0-9]+`}},
		{"v42", Rule{Match: `v[0-9]+`}},
		{"v1.2.3-4-g1a2b3c4", Rule{Match: `v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9]+-g[0-9a-f]{7,40})?`, Semver: ">=1.0.0-0"}},
		{"1.20 1.21", Rule{Match: `[0-9]+\.[0-9]+`}},
		{"main-1a2b3c4 1.4.2", Rule{Match: `[0-9]+\.[0-9]+\.[0-9]+|main-[0-9a-f]{7,40}`}},
		{"fix-a-1a2b3c4 add-the-thing-1a2b3c4 main-1a2b3c4 x.y-1a2b3c4", Rule{Match: `[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{7,40}`}},
	} {
		t.Run(test.seen, func(t *testing.T) {
			tags := strings.Fields(test.seen)
			got, ok := ruleFor(tags)
			if !ok || got != test.want {
				t.Fatalf("got %+v, %t, want %+v", got, ok, test.want)
			}
			checkRule(t, got, tags)
		})
	}
}

// checkRule checks a rule by the policy itself.
func checkRule(t *testing.T, r Rule, tags []string) {
	t.Helper()
	p, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: r.Match, Semver: r.Semver}}},
		Apps:         map[string]policy.App{"api": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range p.Warnings() {
		t.Errorf("warning: %v", w)
	}
	for _, tag := range tags {
		if !takes(t, p, tag) {
			t.Errorf("%s is not taken by %+v", tag, r)
		}
	}
	for _, tag := range []string{"edge", "pr-42", "feature_x", "-"} {
		if takes(t, p, tag) {
			t.Errorf("%s is taken by %+v", tag, r)
		}
	}
}

// What has nothing in common has no rule, and neither has nothing.
func TestNoRule(t *testing.T) {
	t.Parallel()
	for _, seen := range []string{"", "a b-c d.e f_g-h 1.2-x"} {
		if got, ok := ruleFor(strings.Fields(seen)); ok {
			t.Errorf("%q: got %+v", seen, got)
		}
	}
}

// takes reports whether an order of a tag becomes an update.
func takes(t *testing.T, p *policy.Policy, tag string) bool {
	t.Helper()
	d, err := p.Plan(gitops.Event{
		Delivery: gitops.DeliveryKey{Source: "github", ID: "1"},
		Orders:   []gitops.Order{{App: "api", Environment: "dev", Tag: tag}},
	})
	return err == nil && len(d.Updates) == 1
}
