package server

import (
	"bytes"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

const apiImage = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api"

// newArgoSite is a site whose environment dev is followed by Argo CD, which never hears of
// a push. It returns Argo CD with the Application of api, and the token.
func newArgoSite(t *testing.T) (s *site, argo *argocdtest.Server, api *argocdtest.Model, token string) {
	t.Helper()
	s = newSite(t)
	argo = argocdtest.New(t, nil)
	token = argo.Token("myshop")
	said.Forbid(token)
	s.must(os.WriteFile(filepath.Join(s.dir, "argocd-token"), []byte(token+"\n"), 0o600))
	s.edit("environments:\n  dev: {", "argocd:\n  - {url: "+argo.Listen()+", tokenFile: "+s.dir+"/argocd-token, projects: [myshop]}\nenvironments:\n  dev: {rollout: {timeout: 30m}, ")
	s.edit("  prod: {", "  prod: {rollout: {by: none}, ")
	file := gitserver.ValuesFile("api", "dev")
	tag := regexp.MustCompile(`tag: "(.*)"`)
	git := func() (revision, at string) {
		revision, err := s.repository.Git("rev-parse", "main")
		s.must(err)
		text, err := s.repository.Git("show", "main:"+file)
		s.must(err)
		return strings.TrimSpace(revision), tag.FindStringSubmatch(text)[1]
	}
	revision, was := git()
	api = argo.Add(argocdtest.App{
		Project: "myshop", Name: "api-dev", Image: apiImage, Revision: revision, Tag: was, Git: git,
		Sources:   []argocdtest.Source{{RepoURL: s.repository.URL, TargetRevision: "main", Path: path.Dir(file), ValueFiles: []string{path.Base(file)}}},
		Behaviour: argocdtest.Behaviour{WebhookLost: true, Rollout: 300 * time.Millisecond},
	})
	return s, argo, api, token
}

// followedTo waits until an update's rollout is over.
func (r *running) followedTo(id string) gitops.Update {
	r.t.Helper()
	return r.followedAs(id, gitops.RolloutState.Final)
}

// followedAs waits until an update's rollout is in a state.
func (r *running) followedAs(id string, is func(gitops.RolloutState) bool) gitops.Update {
	r.t.Helper()
	for end := time.After(time.Minute); ; {
		changed := r.store.Changed()
		u, err := r.store.Update(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if u.Rollout != nil && is(u.Rollout.State) {
			return u
		}
		select {
		case <-changed:
		case <-end:
			r.t.Fatalf("the rollout of %s is %+v", id, u.Rollout)
		}
	}
}

// awaitSeries waits for a series, which is about to have a value.
func (r *running) awaitSeries(name string, want float64) {
	r.t.Helper()
	for began := time.Now(); ; {
		got, ok := gather(r.t.(*testing.T), r.Server)[name]
		if ok && got == want {
			return
		}
		if time.Since(began) > 30*time.Second {
			r.t.Fatalf("%s is %v", name, got)
		}
	}
}

// What is written is followed until it runs, over the network and by real git. Argo CD looks
// since it is asked to, and what others commit afterwards changes nothing.
func TestAWrittenUpdateIsFollowed(t *testing.T) {
	s, argo, _, _ := newArgoSite(t)
	r := s.start()
	u := r.settled(r.order("first", `{"app": "api", "environment": "dev", "tag": "main-0000001"}`).delivery(t, 202).Updates[0].ID)
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{"README.md": "Of others.\n"}})
	s.must(err)
	u = r.followedTo(u.ID)
	if got := u.Rollout; got.State != gitops.RolloutHealthy || got.Revision == u.Commit || len(got.Places) != 1 || got.Places[0].Name != "myshop/argocd/api-dev" || got.By != "argocd" {
		t.Errorf("%+v", got)
	}
	if took := u.Rollout.Since.Sub(u.FinishedAt); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if n := argo.MostPerSecond(); n > 10 {
		t.Errorf("%d requests in a second", n)
	}
	head, err := r.store.Head(t.Context(), "dev", "api")
	if s.must(err); head.HealthyID != u.ID {
		t.Errorf("%+v", head)
	}
	for name, want := range map[string]float64{
		`tallyman_rollouts_total{environment="dev",outcome="healthy"}`: 1, `tallyman_rollout_seconds{environment="dev"}`: 1,
		`tallyman_argocd_refreshes_total{argocd="HOST",cause="first"}`: 1, `tallyman_argocd_away{argocd="HOST"}`: 0,
		`tallyman_argocd_refreshes_total{argocd="HOST",cause="next"}`: 0, `tallyman_argocd_token_expires_timestamp_seconds{argocd="HOST"}`: 0, `tallyman_argocd_requests_total{argocd="HOST",result="unavailable"}`: 0,
	} {
		r.awaitSeries(strings.ReplaceAll(name, "HOST", r.current().argoCDs[0].client.Instance()), want)
	}
	other := r.settled(r.order("second", `{"app": "worker", "environment": "dev", "tag": "main-0000001"}`).delivery(t, 202).Updates[0].ID)
	if u, err := r.store.Update(t.Context(), other.ID); err != nil || u.State != gitops.Committed {
		t.Errorf("%+v, %v", u, err)
	}
}

// What a reload follows no longer comes to an end, and so does the follower.
func TestRolloutsThatAreFollowedNoLonger(t *testing.T) {
	s, _, api, _ := newArgoSite(t)
	api.Change(func(b *argocdtest.Behaviour) { b.WebhookLost, b.Manual = false, true })
	r := s.start()
	u := r.settled(r.order("first", `{"app": "api", "environment": "dev", "tag": "main-0000001"}`).delivery(t, 202).Updates[0].ID)
	r.isFollowed(u.ID)
	s.edit("prod: {rollout: {by: none}", "prod: {rollout: {by: reports}")
	s.edit("dev: {rollout: {timeout: 30m}", "dev: {rollout: {by: none}")
	s.must(r.reload(s.config()))
	if u := r.followedTo(u.ID); u.Rollout.State != gitops.RolloutGone {
		t.Errorf("%+v", u.Rollout)
	}
	s.edit("prod: {rollout: {by: reports}", "prod: {rollout: {by: none}")
	s.must(r.reload(s.config()))
	if r.follows.stop != nil {
		t.Error("nothing is followed, and the follower runs")
	}
	names := maps.Keys(gather(t, r.Server))
	for name := range names {
		if strings.HasPrefix(name, "tallyman_rollouts_total") {
			t.Errorf("%s is there still", name)
		}
	}
}

// What check says of Argo CD.
func TestCheckAsksArgoCD(t *testing.T) {
	s, argo, _, token := newArgoSite(t)
	check := func() (out string, err error) {
		server, err := s.newServer()
		s.must(err)
		defer func() { s.must(server.Stop(t.Context())) }()
		var text bytes.Buffer
		err = server.CheckManifests(t.Context(), &text)
		return text.String(), err
	}
	out, err := check()
	for _, want := range []string{": the token may get the Applications of myshop, as tallyman\n", "api in dev: myshop/argocd/api-dev deploys it\n", "warning: worker in dev: no Application of argocd reads "} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("no %q in %s, %v", want, out, err)
		}
	}
	argo.MaySync(token)
	soon := argo.TokenUntil(time.Now().Add(100*time.Hour), "myshop")
	said.Forbid(soon)
	if out, err = check(); err != nil || !strings.Contains(out, "the token may sync myshop, too") {
		t.Errorf("%s, %v", out, err)
	}
	s.must(os.WriteFile(filepath.Join(s.dir, "argocd-token"), []byte(soon), 0o600))
	if out, err = check(); err != nil || !strings.Contains(out, "the token expires in 4 days") {
		t.Errorf("%s, %v", out, err)
	}
	argo.MayGet(soon, "other")
	if out, err = check(); err == nil || !strings.Contains(err.Error(), "may not get Applications of project myshop") {
		t.Errorf("%s, %v", out, err)
	}
	argo.Revoke(soon)
	if out, err = check(); err == nil || !strings.Contains(err.Error(), "is not accepted") {
		t.Errorf("%s, %v", out, err)
	}
}
