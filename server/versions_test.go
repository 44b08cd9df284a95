package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A hotfix of an old version that is pushed does not take prod back. A person may, and
// from there versions go up. What a person writes by hand counts as well.
func TestAPushDoesNotTakeProdBack(t *testing.T) {
	s := newSite(t)
	r := s.start()
	pushed := func(id, tag string) gitops.Update {
		t.Helper()
		return r.settled(r.do(r.ecr(bridgeSecret, push(id, tag))).delivery(t, 202).Updates[0].ID)
	}
	want := func(u gitops.Update, state gitops.State, reason string) {
		t.Helper()
		if u.State != state || !strings.HasPrefix(u.Reason, reason) {
			t.Errorf("%s is %s: %s; want %s: %s", u.Tag, u.State, u.Reason, state, reason)
		}
	}
	first := pushed("d1", "2.0.0")
	want(first, gitops.Committed, "")
	lower := pushed("d2", "1.9.5")
	want(lower, gitops.Superseded, "1.9.5 is lower than 2.0.0, which is on the branch (update "+first.ID+"): ")
	if !strings.HasSuffix(lower.Reason, "To go down, order it by name: tallyman update api 1.9.5 --env prod") {
		t.Errorf("the reason names no way out: %s", lower.Reason)
	}
	if lines := s.log.with(`"msg":"update superseded"`, lower.ID, "1.9.5 is lower than 2.0.0"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	ordered := r.do(r.github(newSecret, "d3", order("api", "prod", "1.9.5"))).delivery(t, 202).Updates[0].ID
	want(r.settled(ordered), gitops.Committed, "")
	want(pushed("d4", "1.9.4"), gitops.Superseded, "1.9.4 is lower than 1.9.5, which is on the branch (update "+ordered+"): ")
	want(pushed("d5", "1.9.6"), gitops.Committed, "")

	file := gitserver.ValuesFile("api", "prod")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{file: gitserver.Values("api", "prod", "3.0.0")}})
	s.must(err)
	want(pushed("d6", "2.9.0"), gitops.Superseded, "2.9.0 is lower than 3.0.0, which is in "+file+": ")
	want(pushed("d7", "3.0.0"), gitops.Unchanged, "")
}

// With downgrades: allow, the last image that was pushed is written.
func TestDowngradesAllow(t *testing.T) {
	s := newSite(t)
	s.edit(`prod: {tags: {semver: ">=1.0.0"}}`, `prod: {tags: {semver: ">=1.0.0"}, downgrades: allow}`)
	r := s.start()
	for _, tag := range []string{"2.0.0", "1.9.5"} {
		if u := r.settled(r.do(r.ecr(bridgeSecret, push(tag, tag))).delivery(t, 202).Updates[0].ID); u.State != gitops.Committed {
			t.Errorf("%s is %s: %s", tag, u.State, u.Reason)
		}
	}
}
