package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/feedback"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// The sources of a manifest repository's apps are told as the App of that repository alone:
// another team's App, or another host of GitHub's, may know a repository of the same name.
func TestASourceIsToldAsTheAppOfItsManifests(t *testing.T) {
	s, _, _ := newSourceSite(t)
	bank := githubtest.New(t)
	bank.Install(9, "bank/pay")
	bank.Expect(http.StatusNotFound)
	s.edit("  worker: {environments: [dev]}\n", `  worker: {environments: [dev], source: shop/api, manifests: pay}
  cron: {environments: [dev], source: shop/api, manifests: plain}
repositories:
  pay:
    url: "`+strings.Replace(s.repository.URL, "shop/manifests", "bank/pay", 1)+`"
    credentials: {githubApp: {appID: 1234, privateKeyFile: `+bank.KeyFile()+`, apiURL: '`+bank.URL+`'}}
  plain: {branch: plain, credentials: {tokenFile: `+s.dir+`/token}}
`)
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(context.WithoutCancel(t.Context()))) }()
	site := newToldSite(server.current(), server.current().known())
	for app, want := range map[string]struct {
		manifests string
		code      gitops.Code
	}{"api": {"default", ""}, "worker": {"pay", gitops.NotFound}, "cron": {"plain", ""}} {
		source, shared := site.Source("dev", app)
		if (source != feedback.Source{Repository: "shop/api", Manifests: want.manifests}) || !shared {
			t.Errorf("%s has %+v, shared %t", app, source, shared)
		}
		_, _, err := deployers{server, source.Manifests}.Deployments(t.Context(), source.Repository)
		if (err != nil || want.code != "") && gitops.CodeOf(err) != want.code {
			t.Errorf("%s: %v", app, err)
		}
	}
}
