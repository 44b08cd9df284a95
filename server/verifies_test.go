package server

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// verifySite is a site whose images of prod are in a registry, and whose Applications are in an
// Argo CD that never hears of a push.
type verifySite struct {
	*imageSite
	argo  *argocdtest.Server
	model *argocdtest.Model
	ahead atomic.Int64 // of the clock, Argo CD's
	now   string       // the digest of what runs
}

func newVerifySite(t *testing.T) *verifySite {
	t.Helper()
	s := &verifySite{imageSite: newImageSite(t)}
	s.argo = argocdtest.New(t, func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) })
	token := s.argo.Token("myshop")
	said.Forbid(token)
	s.must(os.WriteFile(filepath.Join(s.dir, "argo-token"), []byte(token), 0o600))
	s.edit("environments:\n  dev: {", "argocd:\n  - {url: "+s.argo.Listen()+", tokenFile: "+s.dir+"/argo-token, projects: [myshop]}\nenvironments:\n  dev: {rollout: {by: reports}, ")
	s.edit("{token: board}, may: [read]}", "{token: board}, may: [read], apps: [worker]}")
	file := gitserver.ValuesFile("api", "prod")
	revision, err := s.repository.Commit(gitserver.Change{Files: map[string]string{file: gitserver.Values("api", "prod", "1.0.0")}})
	s.must(err)
	s.now = s.push("api", "1.0.0", "first")
	s.model = s.argo.Add(argocdtest.App{
		Project: "myshop", Name: "api-prod", Image: s.registry.Host() + "/shop/api", Revision: revision, Tag: "1.0.0",
		Digests:   map[string]string{"1.0.0": s.now},
		Sources:   []argocdtest.Source{{RepoURL: s.repository.URL, TargetRevision: "main", Path: path.Dir(file), ValueFiles: []string{path.Base(file)}}},
		Behaviour: argocdtest.Behaviour{WebhookLost: true},
	})
	return s
}

// verified asks, and holds the words of the lines to those that are wanted.
func (r *running) verified(app, environment string, result verify.Word, words ...verify.Word) verify.Report {
	r.t.Helper()
	report := readAs[verify.Report](r, apiToken, "/api/v1/verify?environment="+environment+"&app="+app)
	for i, l := range report.Lines {
		if l.Word != words[i] {
			r.t.Errorf("%s of %s is %s: %s; want %s", l.Place, app, l.Word, l.Text, words[i])
		}
	}
	if report.Result != result || report.App != app || report.Environment != environment {
		r.t.Errorf("%+v, want %s", report, result)
	}
	return report
}

// Four places are asked, and what each says is told: when all agree, when the branch has moved
// on, when the image is gone, and when Argo CD is away.
func TestFourPlacesAreAsked(t *testing.T) {
	s := newVerifySite(t)
	r := s.start()
	tip, err := s.repository.Git("rev-parse", "main")
	s.must(err)
	all := r.verified("api", "prod", verify.OK, verify.OK, verify.OK, verify.OK, verify.OK)
	argo, cluster := all.Lines[2], all.Lines[3]
	if all.Tag != "1.0.0" || all.Lines[0].Digest != s.now || all.Lines[1].Commit != strings.TrimSpace(tip) || argo.Application != "myshop/argocd/api-prod" || argo.URL == "" || argo.Contains != rollout.Contained {
		t.Errorf("%+v", all)
	}
	if !strings.Contains(cluster.Text, s.now[:19]) {
		t.Errorf("the node's digest is not in %q", cluster.Text)
	}

	// A refresh has Argo CD look at a commit that it was not told of.
	digest := s.push("api", "1.1.0", "next")
	next, err := s.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("api", "prod"): gitserver.Values("api", "prod", "1.1.0")}})
	s.must(err)
	lost := r.verified("api", "prod", verify.OnItsWay, verify.OK, verify.OK, verify.OnItsWay, verify.OnItsWay)
	if lost.Lines[0].Digest != digest || lost.Lines[2].Revision == next {
		t.Errorf("%+v", lost)
	}
	s.model.Push(next, "1.1.0")
	r.verified("api", "prod", verify.OnItsWay, verify.OK, verify.OK, verify.OnItsWay, verify.OnItsWay) // it looks, and begins to sync
	s.ahead.Store(int64(time.Minute))
	r.verified("api", "prod", verify.Unsure, verify.OK, verify.OK, verify.OK, verify.Unsure) // the model made up a digest

	r.verified("shop", "prod", verify.Differs, verify.Differs, verify.OK, verify.Unsure, verify.Unsure) // nothing reads its file, and its image was never pushed
	dev := r.verified("api", "dev", verify.Unsure, verify.NotAsked, verify.OK, verify.Unsure, verify.Unsure)
	if !strings.Contains(dev.Lines[0].Text, "not inspected in dev") || !strings.Contains(dev.Lines[3].Text, "nothing was reported") {
		t.Errorf("%+v", dev.Lines)
	}
	s.argo.Fail(argocdtest.Fault{Status: http.StatusServiceUnavailable})
	r.verified("api", "prod", verify.NoAnswer, verify.OK, verify.OK, verify.NoAnswer, verify.NoAnswer)
}

// What somebody may not read, or is not there, is not verified.
func TestWhoMayVerifyWhat(t *testing.T) {
	s := newVerifySite(t)
	r := s.start()
	for path, status := range map[string]int{
		"/api/v1/verify?environment=prod&app=api":           http.StatusNotFound,
		"/api/v1/verify?environment=dev&app=worker":         http.StatusOK,
		"/api/v1/verify?environment=dev":                    http.StatusBadRequest,
		"/api/v1/verify?environment=dev&app=worker&more=it": http.StatusBadRequest,
	} {
		if got := r.call(readToken, http.MethodGet, path, "").StatusCode; got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
	if got := r.call(apiToken, http.MethodGet, "/api/v1/verify?environment=prod&app=none", "").StatusCode; got != http.StatusUnprocessableEntity {
		t.Errorf("an app that is not known: %d", got)
	}
	if got := r.call("wrong", http.MethodGet, "/api/v1/verify?environment=prod&app=api", "").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", got)
	}
}

// While the git server is away nothing else is asked, and the answer says so.
func TestVerifyWithoutTheBranch(t *testing.T) {
	s := newVerifySite(t)
	r := s.start()
	s.must(s.git.Close())
	r.verified("api", "prod", verify.NoAnswer, verify.NotAsked, verify.NoAnswer, verify.NotAsked, verify.NotAsked)
	if code := gitops.CodeOf(r.failedVerify("gone")); code != gitops.NotFound {
		t.Errorf("an app that is not configured: %s", code)
	}
}

func (r *running) failedVerify(app string) error {
	_, err := r.verifier.Verify(r.t.Context(), "prod", app)
	return err
}
