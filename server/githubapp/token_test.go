package githubapp_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// Some of GitHub's servers do not know a fresh token yet.
func TestAFreshTokenIsTriedAgain(t *testing.T) {
	s := newSite(t)
	s.github.FreshTokens(404, 401, 404)
	s.token(s.app())
	if diff := cmp.Diff([]time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second}, s.waited); diff != "" {
		t.Error(diff)
	}
	if s.minted() != 1 {
		t.Errorf("%d tokens were made", s.minted())
	}
	s = newSite(t)
	s.github.FreshTokens(404, 404, 404, 404)
	if _, _, err := s.app().Basic(t.Context()); gitops.CodeOf(err) != gitops.NotFound || len(s.waited) != 3 {
		t.Errorf("after %v: %v", s.waited, err)
	}
}

// A token is replaced before it ends, and nobody waits for it.
func TestATokenIsRenewedInTime(t *testing.T) {
	s := newSite(t)
	a := s.app()
	first := s.token(a)
	s.clock.Pass(49 * time.Minute)
	if s.token(a) != first || s.minted() != 1 {
		t.Error("renewed with more than 10 minutes left")
	}
	s.clock.Pass(2 * time.Minute)
	hold := make(chan struct{})
	s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: mintPath, Times: 1, Wait: hold})
	if s.token(a) != first {
		t.Error("the renewal was waited for")
	}
	close(hold)
	if err := a.Close(); err != nil { // which waits for the renewal, or ends it
		t.Fatal(err)
	}
	if s.minted() != 1 && s.minted() != 2 {
		t.Errorf("%d tokens were made", s.minted())
	}

	s = newSite(t)
	a = s.app()
	first = s.token(a)
	s.clock.Pass(58*time.Minute + time.Second)
	if s.token(a) == first {
		t.Error("handed out with less than 2 minutes left")
	}
}

// A renewal that fails is no harm while the token lasts, and is not tried with
// every request.
func TestARenewalThatFails(t *testing.T) {
	s := newSite(t)
	a := s.app()
	first := s.token(a)
	s.clock.Pass(51 * time.Minute)
	s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: mintPath, Times: 9, Status: 502})
	for range 20 {
		if s.token(a) != first {
			t.Fatal("another token")
		}
		a.Settle()
	}
	if s.minted() != 2 {
		t.Errorf("asked %d times", s.minted())
	}
	s.clock.Pass(31 * time.Second)
	s.token(a)
	a.Settle()
	if s.minted() != 3 {
		t.Errorf("asked %d times after half a minute", s.minted())
	}
	s.clock.Pass(8 * time.Minute)
	for range 2 {
		if _, _, err := a.Basic(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("without a token: %v", err)
		}
	}
}

func TestManyWaitForOneMinting(t *testing.T) {
	s := newSite(t)
	hold := make(chan struct{})
	s.github.Inject(githubtest.Fault{Method: http.MethodPost, Path: mintPath, Times: 1, Wait: hold})
	a := s.app()
	// One that gives up does not end it for the others.
	impatient, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, _, err := a.Basic(impatient); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("given up: %v", err)
	}
	var wait sync.WaitGroup
	values := make([]string, 50)
	for i := range values {
		wait.Go(func() { _, values[i], _ = a.Basic(t.Context()) })
	}
	close(hold)
	wait.Wait()
	if slices.Contains(values, "") || len(slices.Compact(values)) != 1 || s.minted() != 1 {
		t.Errorf("%d tokens were made, and given out: %v", s.minted(), len(slices.Compact(values)))
	}
}

// What a server refused is not offered again.
func TestARefusedTokenIsDropped(t *testing.T) {
	s := newSite(t)
	a := s.app()
	first := s.token(a)
	a.Invalidate("another")
	if s.token(a) != first {
		t.Error("dropped for another's refusal")
	}
	s.github.Revoke()
	a.Invalidate(first)
	if s.token(a) == first {
		t.Error("offered again")
	}
	// The API's own refusals count the same.
	s.github.Revoke()
	s.github.Expect(http.StatusUnauthorized)
	for range 2 {
		_, _, _ = a.InstallationClient().Repositories.Get(t.Context(), "myshop", "manifests")
	}
	if s.minted() != 3 {
		t.Errorf("%d tokens were made", s.minted())
	}
}

// A new key counts at once, and a wrong one is told apart from an absent one.
func TestTheKeyIsReadAgain(t *testing.T) {
	s := newSite(t)
	a := s.app()
	s.token(a)
	s.github.NewKey()
	s.clock.Pass(2 * time.Hour)
	s.github.Expect(http.StatusUnauthorized)
	if _, _, err := a.Basic(t.Context()); gitops.CodeOf(err) != gitops.Unauthorized || !strings.Contains(err.Error(), "is the key this App's") {
		t.Errorf("with the old key: %v", err)
	}
	if err := os.Remove(s.config.PrivateKeyFile); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Basic(t.Context()); gitops.CodeOf(err) != gitops.Unauthorized || !strings.Contains(err.Error(), "private key cannot be used") {
		t.Errorf("without a key: %v", err)
	}
	if err := os.WriteFile(s.config.PrivateKeyFile, s.github.PrivateKey(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.token(a)
}

// The environment's proxy is asked. net/http reads it once for each process, so
// another process does the asking.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	const child = "TALLYMAN_TEST_PROXY_CHILD"
	s := newSite(t)
	if os.Getenv(child) != "" {
		s.config.APIURL = "https://api.github.example"
		if _, _, err := s.app().Basic(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("told %v", err)
		}
		return
	}
	asked := make(chan string, 9)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusTeapot)
	}))
	defer proxy.Close()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), child+"=1", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := <-asked; got != "CONNECT api.github.example:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// GitHub Enterprise Server often has a certificate of a private CA.
func TestPrivateCA(t *testing.T) {
	s := newSite(t)
	front := httptest.NewTLSServer(s.github)
	defer front.Close()
	s.config.APIURL = front.URL
	if _, _, err := s.app().Basic(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's CAs: %v", err)
	}
	s.config.RootCAs = x509.NewCertPool()
	s.config.RootCAs.AddCert(front.Certificate())
	s.token(s.app())
}

// A redirect to another host is not followed, whichever credential would go there.
func TestCredentialsGoToNoOtherHost(t *testing.T) {
	asked := make(chan *http.Request, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	defer elsewhere.Close()
	s := newSite(t)
	led := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if led = led || r.URL.Path == tryPath; led {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		s.github.ServeHTTP(w, r)
	}))
	defer front.Close()
	s.config.APIURL = front.URL
	a := s.app()
	_, _, asInstallation := a.Basic(t.Context()) // its fresh token is tried
	_, asApp := a.Identity(t.Context())
	for as, err := range map[string]error{"installation": asInstallation, "App": asApp} {
		if gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("as the %s: %v", as, err)
		}
	}
	select {
	case r := <-asked:
		t.Errorf("the other host is asked for %s", r.URL.Path)
	default:
	}
}
