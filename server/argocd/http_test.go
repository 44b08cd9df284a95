package argocd_test

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// The same over real connections: a list comes compressed, which the server demands.
func TestOverRealConnections(t *testing.T) {
	s := newSite(t)
	s.app("api", argocdtest.Behaviour{})
	client := s.connect(argocd.Config{URL: s.argo.Listen(), Projects: []string{"myshop"}})
	all, err := client.Applications(context.Background())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d Applications, %v", len(all), err)
	}
	if a, err := client.Application(context.Background(), ref("api"), true); err != nil || a.Status.Sync.Revision != before {
		t.Errorf("%+v, %v", a, err)
	}
	may, err := client.CanI(context.Background(), "get", "myshop")
	if err != nil || !may {
		t.Errorf("%v, %v", may, err)
	}
	s.argo.Fail(argocdtest.Fault{Drop: true, Path: "/resource-tree"})
	_, err = client.Tree(context.Background(), ref("api"))
	wants(t, err, gitops.Unavailable, "connection failed")
}

// A certificate that only the given roots have signed.
func TestItsCertificateIsChecked(t *testing.T) {
	s := newSite(t)
	s.app("api", argocdtest.Behaviour{})
	server := httptest.NewUnstartedServer(s.argo)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client refuses the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	ask := func(c argocd.Config) error {
		c.URL, c.Projects = server.URL, []string{"myshop"}
		_, err := s.connect(c).Application(context.Background(), ref("api"), false)
		return err
	}
	if err := ask(argocd.Config{RootCAs: roots}); err != nil {
		t.Error(err)
	}
	e := wants(t, ask(argocd.Config{}), gitops.Unavailable, "connection failed")
	if !contains(e.Error(), "certificate") {
		t.Errorf("the cause is not told: %v", e)
	}
}

// A redirect is not followed: the token goes nowhere else, not even to the same host.
func TestTheTokenGoesNowhereElse(t *testing.T) {
	s := newSite(t)
	reached := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(other.Close)
	for _, to := range []string{other.URL + "/login?next=x", "/elsewhere"} {
		s.argo.Fail(argocdtest.Fault{Redirect: to, Times: 1})
		client := s.connect(argocd.Config{URL: s.argo.Listen(), Projects: []string{"myshop"}})
		_, err := client.Application(context.Background(), ref("api"), false)
		wants(t, err, gitops.Unavailable, "redirects to http://127.0.0.1:", "which is not followed")
	}
	if n := len(s.argo.Requests()); n != 2 || reached != 0 {
		t.Errorf("%d requests, and %d elsewhere", n, reached)
	}
}

// A token's file that is no file.
func TestTheTokensFileIsADirectory(t *testing.T) {
	s := newSite(t)
	s.file = filepath.Dir(s.file)
	client := s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"myshop"}, Via: s.argo})
	_, err := client.Application(context.Background(), ref("api"), false)
	wants(t, err, gitops.Unauthorized, "cannot be read")
}
