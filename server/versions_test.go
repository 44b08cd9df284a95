package server

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A hotfix of an old version that is pushed does not take prod back. A person may, and
// from there versions go up. What a person writes by hand counts as well, also where that
// is no pin.
func TestAPushDoesNotTakeProdBack(t *testing.T) {
	s := newSite(t)
	s.edit("prod: {tags", "prod: {handEdits: overwrite, tags")
	r := s.start()
	pushed := func(id, tag string) gitops.Update {
		t.Helper()
		return r.settled(r.do(r.ecr(bridgeSecret, pushAt(time.Now(), id, tag))).delivery(t, 202).Updates[0].ID)
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
	if lines := s.log.Lines(`"msg":"update superseded"`, lower.ID, "1.9.5 is lower than 2.0.0"); len(lines) != 1 {
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

// EventBridge delivers in any order, and the highest version that was pushed is written.
// A push from before an order stays behind it, whatever its version.
func TestTheHighestPushIsWrittenInWhateverOrderTheyArrive(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	pushes := []string{"1.9.5", "2.0.0", "1.9.4"}
	for _, arrival := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {2, 0, 1}} { // of the three, of which the first happened first
		s := newSite(t)
		r := s.start()
		pushed := func(at time.Time, id, tag string) gitops.Update {
			t.Helper()
			return r.settled(r.do(r.ecr(bridgeSecret, pushAt(at, id, tag))).delivery(t, 202).Updates[0].ID)
		}
		for _, n := range arrival {
			pushed(at.Add(time.Duration(n)*time.Minute), pushes[n], pushes[n])
		}
		wantTag := func(tag string) {
			t.Helper()
			if file, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("api", "prod")); err != nil || !strings.Contains(file, tag) {
				t.Errorf("delivered in the order %v: the file says\n%s, want %s (%v)", arrival, file, tag, err)
			}
		}
		wantTag("2.0.0")
		ordered := r.do(r.github(newSecret, "down", order("api", "prod", "1.9.0"))).delivery(t, 202).Updates[0].ID
		r.settled(ordered)
		if u := pushed(at.Add(5*time.Minute), "delayed", "2.0.0"); u.State != gitops.Superseded || !strings.Contains(u.Reason, "was accepted before") {
			t.Errorf("the delayed copy is %s: %s", u.State, u.Reason)
		}
		wantTag("1.9.0")
	}
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
