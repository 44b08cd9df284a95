package registry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// A registry may name a token server. Credentials are not sent to one on this machine or in
// the clear because of that, whatever a redirect of it says.
func TestATokenServerElsewhereGetsNoCredentials(t *testing.T) {
	const host = "registry.example"
	thief := registrytest.New(t)
	s, caFile := registrytest.NewTLS(t, host, time.Now().Add(time.Hour))
	s.RequireToken(map[string]string{"ann": secret})
	path := t.TempDir() + "/docker.json"
	writeFile(t, path, `{"auths":{"`+host+`":{"auth":"`+authOf("ann", secret)+`"}}}`)
	c := client(t, registry.Config{Dial: s.Dial, Hosts: []registry.Host{{Name: host, CAFile: caFile, DockerConfigFile: path}}})
	_, port, _ := strings.Cut(thief.Host(), ":")
	refused := func(realm string) {
		t.Helper()
		s.Realm(realm)
		for range 2 {
			answer, err := c.Look(t.Context(), image.Question{Repository: host + "/acme/api", Tag: "v1"})
			if gitops.CodeOf(err) != gitops.Unavailable || strings.Contains(err.Error(), secret) {
				t.Errorf("with the token server %q: %+v, %v", realm, answer, err)
			}
		}
	}
	for _, realm := range []string{
		"http://" + thief.Host() + "/token", "https://" + thief.Host() + "/token", "http://localhost:" + port + "/token", "http://" + host + "/token",
		"https://169.254.169.254/latest", "http://[::1]:" + port + "/token", "file:///etc/passwd", "://",
	} {
		refused(realm)
	}
	for _, to := range []string{"http://" + thief.Host(), "https://" + thief.Host(), "https://169.254.169.254"} {
		remove := s.Inject(registrytest.Fault{Method: http.MethodGet, Answer: registrytest.Redirect(http.StatusTemporaryRedirect, to)})
		refused("https://" + host + "/moved")
		remove()
	}
	if got := thief.Requests(); len(got) != 0 {
		t.Errorf("another server was sent %+v", got)
	}
}

// Redirects take the credentials nowhere else, and never away from TLS.
func TestARedirectElsewhereGetsNoCredentials(t *testing.T) {
	other, s := registrytest.New(t), registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	other.Push("acme/api", "v1", registrytest.Image{})
	s.RequireBasic(map[string]string{"ann": secret})
	c, _ := withFile(t, s, `{"auths":{"HOST":{"auth":"`+authOf("ann", secret)+`"}}}`)
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest) // now the credentials are sent at once
	s.Inject(registrytest.Fault{Answer: registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+other.Host())})
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
	for _, r := range other.Requests() {
		if r.Authorization != "" {
			t.Errorf("another server was sent %s", r.Authorization)
		}
	}

	secure, caFile := registrytest.NewTLS(t, "registry.example", time.Now().Add(time.Hour))
	secure.Inject(registrytest.Fault{Answer: registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+other.Host())})
	other.Forget()
	c = client(t, registry.Config{Dial: secure.Dial, Hosts: []registry.Host{{Name: "registry.example", CAFile: caFile}}})
	wantProblem(t, c, "registry.example", gitops.Unavailable, "away from TLS")
	if n := len(other.Requests()); n != 0 {
		t.Errorf("%d requests went away from TLS", n)
	}
}

// A list's next page is of the same server.
func TestALinkElsewhereIsNotFollowed(t *testing.T) {
	other, s := registrytest.New(t), registrytest.New(t)
	c := client(t, registry.Config{})
	for _, to := range []string{"http://" + other.Host(), "//" + other.Host(), "https://" + s.Host(), "http://169.254.169.254"} {
		s.List("acme/api", registrytest.List{Tags: tagNames(10), Page: 5, Link: true, LinkTo: to})
		for range 2 {
			err := c.Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return nil })
			if gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("a Link to %s: %v", to, err)
			}
		}
	}
	if got := other.Requests(); len(got) != 0 {
		t.Errorf("another server was sent %+v", got)
	}
}

// What a registry says where to go may hold a signature: no error shows it, for people or
// for the log.
func TestNoErrorShowsWhereARegistryLeads(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	const secret = "signature-5f2a"
	for _, to := range []string{
		"https://storage.example/%zz?X-Amz-Signature=" + secret, "gopher://storage.example/?X-Amz-Signature=" + secret,
		"http://127.0.0.1:1/?X-Amz-Signature=" + secret, "http://user:" + secret + "@127.0.0.1:1/", "http://[::1/?" + secret, "http://" + secret + " x/",
		"http://" + s.Host() + "/v2/?X-Amz-Signature=" + secret,
	} {
		remove := s.Inject(registrytest.Fault{Answer: registrytest.Status(http.StatusTemporaryRedirect, "Location", to)})
		c := client(t, registry.Config{})
		_, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"})
		list := c.Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return nil })
		for _, err := range []error{err, list} {
			if gitops.CodeOf(err) != gitops.Unavailable || strings.Contains(err.Error(), secret) {
				t.Errorf("a redirect to %s: %v", to, err)
			}
		}
		remove()
	}
}
