package argocd_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// What an instance fails with is told of every rollout in it, so it does not name the
// Application that happened to be asked for: it may be of an app that the reader may not see.
func TestAnInstancesFaultNamesNoApplication(t *testing.T) {
	for name, breaks := range map[string]func(s *site){
		"its token is rejected": func(s *site) { s.argo.Revoke(s.token) },
		"it answers 502":        func(s *site) { s.argo.Fail(argocdtest.Fault{Status: http.StatusBadGateway, Proxy: true}) },
		"it limits":             func(s *site) { s.argo.Fail(argocdtest.Fault{Status: http.StatusTooManyRequests}) },
		"it answers no JSON":    func(s *site) { s.argo.Fail(argocdtest.Fault{Status: http.StatusOK, Proxy: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.app("api", argocdtest.Behaviour{})
				s.app("secret-app", argocdtest.Behaviour{})
				breaks(s)
				for _, app := range []string{"secret-app", "api"} {
					if err := s.get(app); err == nil || strings.Contains(err.Error(), "secret-app") {
						t.Errorf("%s: %v", app, err)
					}
				}
			})
		})
	}
}
