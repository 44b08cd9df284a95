package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What would be too large to be accepted, whenever it is pushed, is said before.
func TestAnImageThatMeansTooMuchIsRefused(t *testing.T) {
	const shared = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop"
	c := Config{MaxUpdates: 5, Apps: map[string]App{}, Environments: map[string]Environment{
		"dev": {Tags: TagRule{Match: "main-[0-9a-f]{7}"}}, "staging": {Tags: TagRule{Match: "main-[0-9a-f]{7}"}}, "prod": {Tags: TagRule{Semver: ">=1.0.0"}},
	}}
	for n := range 2 {
		c.Apps[fmt.Sprintf("app-%d", n)] = App{Repository: shared}
	}
	c.Apps["own"] = App{Repository: shared + "-own"}
	c.Apps["app-2"] = App{Repository: shared, Environments: []string{"dev", "prod"}}
	if _, err := New(c); err != nil { // five in dev and staging, and three in prod
		t.Fatal(err)
	}
	c.Apps["app-3"] = App{Repository: shared, Environments: []string{"dev"}}
	_, err := New(c)
	if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "apps: an image in "+shared+" means 6 updates, and one delivery may have 5") {
		t.Errorf("got %v", err)
	}
	c.MaxUpdates = 0
	if _, err := New(c); err != nil {
		t.Error(err)
	}
}
