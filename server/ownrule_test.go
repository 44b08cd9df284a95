package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// narrowedSite is one whose api takes versions below 2.0.0 alone, in an environment that
// takes any tag, and in which worker takes what the environment does.
func narrowedSite(t *testing.T) *site {
	s := newSite(t)
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}", "dev: {tags: {match: '[a-z0-9.-]+'}}")
	s.edit("  api: {repository", `  api: {tags: {semver: "<2.0.0"}, repository`)
	s.edit("  worker: {", "  worker: {repository: "+shopImage+", ")
	return s
}

// An app's own rule refuses orders and pushes that its environment would take, and says so
// to whoever asks; other apps of the same image are as they were. What it takes of pushes
// only goes up.
func TestAnAppsOwnTagRule(t *testing.T) {
	s := narrowedSite(t)
	r := s.start()
	const says = `by the rule of app "api", tag 2.0.0 does not satisfy semver <2.0.0; both rules take tags such as 0.0.0`
	refused := r.do(r.github(newSecret, "o1", order("api", "dev", "2.0.0")))
	if refused.StatusCode != 422 || !strings.Contains(refused.body, `client_payload.tag: dev: by the rule of app \"api\", tag 2.0.0 does not satisfy semver`) {
		t.Errorf("the order is answered %d %s", refused.StatusCode, refused.body)
	}
	pushed := func(id, tag string, want ...string) gitops.Delivery {
		t.Helper()
		d := r.do(r.ecr(bridgeSecret, pushAt(time.Now(), id, tag))).delivery(t, 202)
		var got []string
		for _, u := range d.Updates {
			got = append(got, u.Environment+"/"+u.App)
			if u = r.settled(u.ID); u.State == gitops.Superseded {
				got[len(got)-1] += " superseded"
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", tag, got, want)
		}
		return d
	}
	if d := pushed("p1", "2.0.0", "dev/worker"); !strings.Contains(d.Reason, "dev: "+says) {
		t.Errorf("the push says %s", d.Reason)
	}
	pushed("p2", "1.5.0", "dev/api", "dev/worker", "prod/api")
	pushed("p3", "1.4.0", "dev/api superseded", "dev/worker", "prod/api superseded")
	if u := r.settled(r.do(r.github(newSecret, "o2", order("api", "dev", "1.4.0"))).delivery(t, 202).Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("an order that goes down is %s: %s", u.State, u.Reason)
	}
	d, err := s.dryRun(Image{Tag: "2.0.0", Repository: shopImage}, true)
	s.must(err)
	if got := d.effects(); len(got) != 3 || got[0] != "dev api: not taken: "+says+"|" || !strings.HasPrefix(got[1], "dev worker: charts/") {
		t.Errorf("the dry run says %q", got)
	}
}

// A check says of which tags alone an app is updated, and rules without a tag in common are
// found before anything starts.
func TestCheckShowsAnAppsOwnRule(t *testing.T) {
	s := narrowedSite(t)
	out, err := s.check()
	s.must(err)
	if want := "api in dev: charts/api/values-dev.yaml can be edited; of its tags only semver <2.0.0"; !slices.Contains(out, want) {
		t.Errorf("said %q, want %s", out, want)
	}
	s.edit(`semver: "<2.0.0"`, `match: 'main-.*', semver: "<2.0.0"`)
	if _, err := s.newServer(); gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "apps.api.tags: no tag satisfies match and semver at once") {
		t.Errorf("got %v", err)
	}
	s.edit(`match: 'main-.*', semver: "<2.0.0"`, `match: 'api-[0-9]+'`)
	if _, err := s.newServer(); gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "apps.api.tags: no tag satisfies it and environments.prod.tags at once") {
		t.Errorf("got %v", err)
	}
}
