package policy_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// An expression that takes every tag is warned of, however it is written; one that is
// only wide, or stands beside semver, is not.
func TestARuleThatTakesEveryTagIsWarnedOf(t *testing.T) {
	for match, want := range map[string]bool{
		".*": true, ".+": true, "^.*$": true, `\S+`: true, `[\w.-]+`: true, "[a-zA-Z0-9_.-]+": true, "(.|-)*": true, ".{1,128}": true, "[^/]*": true, `\w.*`: true, "(?s:.*)": true, "[a-z0-9_.-]{1,40}": true,
		"main-.*": false, "[0-9a-z-]+": false, "[a-z].*": false, "v.*|[0-9].*": false, "edge": false,
	} {
		p, err := policy.New(policy.Config{Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: match}}}, MaxUpdates: 1})
		if err != nil {
			t.Fatalf("%s: %v", match, err)
		}
		found := false
		for _, w := range p.Warnings() {
			found = found || w.Field == "environments.dev.tags.match" && strings.Contains(w.Message, "takes tags as different as edge, main-1a2b3c4, pr-42")
		}
		if found != want {
			t.Errorf("%s: %v", match, p.Warnings())
		}
		p, err = policy.New(policy.Config{Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: match, Semver: ">=1.0.0"}}}, MaxUpdates: 1})
		if err == nil && want && len(p.Warnings()) > 0 {
			t.Errorf("%s with semver: %v", match, p.Warnings())
		}
	}
}
