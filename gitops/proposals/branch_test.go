package proposals

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
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
