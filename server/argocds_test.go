package server

import (
	"testing"

	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// What the configuration says the same of is kept by a reload, with what was listed; what it
// says otherwise is made again.
func TestAnArgoCDOutlivesAReload(t *testing.T) {
	s, _, _, _ := newArgoSite(t)
	r := s.start()
	before := r.current().argoCDs[0]
	s.edit("timeout: 30m", "timeout: 31m")
	s.must(r.reload(s.config()))
	if r.current().argoCDs[0] != before {
		t.Error("it was made again")
	}
	s.edit("projects: [myshop]}", "projects: [myshop]}\n  - {url: "+argocdtest.New(t, nil).Listen()+", tokenFile: "+s.dir+"/argocd-token, projects: [bank]}")
	s.must(r.reload(s.config()))
	if all := r.current().argoCDs; len(all) != 2 || all[0] != before || all[1].client.Projects()[0] != "bank" {
		t.Errorf("%d are asked", len(all))
	}
	s.edit("projects: [myshop]}", "projects: [myshop, more]}")
	s.must(r.reload(s.config()))
	if r.current().argoCDs[0] == before {
		t.Error("other projects are asked by the same client")
	}
	s.edit("argocd-token, projects: [bank]", "argocd-token, caFile: "+s.dir+"/missing.pem, projects: [bank]")
	if err := r.reload(s.config()); err == nil {
		t.Error("certificates that cannot be read are taken")
	}
}
