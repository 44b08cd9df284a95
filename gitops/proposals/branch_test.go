package proposals

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

func TestCheckBranch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ environment, app, want string }{
		{"prod", "api", ""},
		{"prod", "api.locked", ""},
		{"prod", "lock", ""},
		{"prod.eu-1", strings.Repeat("a", 100), ""},
		{"prod", "api.lock", `app: api.lock cannot be in the name of a branch`},
		{"prod.lock", "api", `environment: prod.lock cannot be`},
		{"prod", "a..b", `app: must not contain ".."`},
		{"prod", "a/b", "app: must be"},
		{"", "api", "environment: is missing"},
	} {
		err := CheckBranch(tt.environment, tt.app)
		if got := gitops.PublicOf(err); (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s/%s: %v, want %q", tt.environment, tt.app, err, tt.want)
		}
	}
	if got := Branch("prod", "api"); got != "tallyman/prod/api" {
		t.Errorf("the branch is %s", got)
	}
}

func TestCheckBase(t *testing.T) {
	t.Parallel()
	for branch, good := range map[string]bool{"main": true, "tallymans": true, "release/tallyman": true, "tallyman": false, "tallyman/prod/api": false} {
		if err := CheckBase(branch); (err == nil) != good {
			t.Errorf("%s: %v", branch, err)
		}
	}
}

// The branch that is where a topic branch needs a directory is found whatever the app is called:
// also like the environment, or like its beginning.
func TestBranchInTheWay(t *testing.T) {
	t.Parallel()
	r := &Room{inWay: map[string]string{}}
	r.takeHeads(Heads{Topics: map[string]git.Hash{"tallyman/prod": {1}, "tallyman/dev/api/old": {2}, "tallyman/dev/web": {3}}})
	for of, want := range map[appOf]string{
		{"prod", "api"}:  "tallyman/prod",
		{"prod", "prod"}: "tallyman/prod",
		{"prod", "p"}:    "tallyman/prod",
		{"dev", "api"}:   "tallyman/dev/api/old",
		{"dev", "web"}:   "",
		{"dev", "dev"}:   "",
	} {
		if got := r.blocking(of); got != want {
			t.Errorf("%v: %q, want %q", of, got, want)
		}
	}
}
