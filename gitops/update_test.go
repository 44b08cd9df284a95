package gitops_test

import (
	"regexp"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Ids stand in the trailers of commits: these are pinned for ever. They were
// computed by another program, from the definition alone.
func TestUpdateIDNeverChanges(t *testing.T) {
	for _, c := range []struct{ source, id, environment, app, want string }{
		{"github", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "dev", "myshop-api", "96caacb2-c62b-8081-ae69-63c1961b38ee"},
		{"github", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "prod", "myshop-api", "96caacb2-c62b-8081-96fe-c212b1ef0c03"},
		{"github", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "Dev", "MyShop-API", "96caacb2-c62b-8081-a87e-a8cadcad6b7d"},
		{"eventbridge", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "dev", "myshop-api", "841f0bed-52e8-86d7-b5db-bc4f5f4afb5a"},
		{"promotion", "a:b.c-d_e", "staging", "a", "2d411f3f-4399-8fe0-8d07-207bed2546b6"},
	} {
		if got := gitops.UpdateID(gitops.DeliveryKey{Source: c.source, ID: c.id}, c.environment, c.app); got != c.want {
			t.Errorf("the update of %s/%s in %s for %s is %s; want %s", c.source, c.id, c.environment, c.app, got, c.want)
		}
	}
}

// No part runs into the next one, and each id is a UUID of version 8.
func TestUpdateIDsDiffer(t *testing.T) {
	version8 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	names := []string{"", "a", "b", "ab", "aa", "a/b", "a-b"}
	seen := make(map[string]bool)
	for _, source := range names {
		for _, id := range names {
			for _, environment := range names {
				for _, app := range names {
					made := gitops.UpdateID(gitops.DeliveryKey{Source: source, ID: id}, environment, app)
					if seen[made] || !version8.MatchString(made) {
						t.Errorf("%q, %q, %q, %q: %s is no UUID of version 8, or there twice", source, id, environment, app, made)
					}
					seen[made] = true
				}
			}
		}
	}
}

// What was ordered counts before what was found.
func TestImageDigest(t *testing.T) {
	for _, c := range []struct{ ordered, found, want string }{{"", "", ""}, {"", "b", "b"}, {"a", "", "a"}, {"a", "b", "a"}} {
		u := gitops.Update{Digest: c.ordered}
		if c.found != "" {
			u.Found = &gitops.Found{Digest: c.found}
		}
		if got := u.ImageDigest(); got != c.want {
			t.Errorf("ordered %q, found %q: got %q", c.ordered, c.found, got)
		}
	}
}
