package registry_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

const secret = "s3cret"

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withFile is a client for a server whose credentials are in a file with the content, in which
// HOST is the server's.
func withFile(t testing.TB, s *registrytest.Server, content string) (c *registry.Client, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "docker.json")
	writeFile(t, path, strings.ReplaceAll(content, "HOST", s.Host()))
	return client(t, registry.Config{Hosts: []registry.Host{{Name: s.Host(), DockerConfigFile: path}}}), path
}

func authOf(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// Each form in which "docker login" and others write a credential.
func TestDockerConfigFiles(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	users := map[string]string{"ann": secret}
	both := []func(){func() { s.RequireBasic(users) }, func() { s.RequireToken(users) }}
	identity := []func(){func() { s.RequireIdentityToken(secret) }}
	for name, test := range map[string]struct {
		file    string
		require []func()
	}{
		"auth":                {`{"auths":{"HOST":{"auth":"` + authOf("ann", secret) + `"}}}`, both},
		"user and password":   {`{"auths":{"HOST":{"username":"ann","password":"s3cret"}}}`, both},
		"an address":          {`{"auths":{"https://HOST/v1/":{"auth":"` + authOf("ann", secret) + `"}}}`, both},
		"an address of v2":    {`{"auths":{"http://HOST/v2/":{"auth":"` + authOf("ann", secret) + `"}}}`, both},
		"another helper":      {`{"credHelpers":{"ghcr.io":"x"},"auths":{"HOST":{"auth":"` + authOf("ann", secret) + `"}}}`, both},
		"the host's own key":  {`{"auths":{"https://HOST":{},"HOST":{"auth":"` + authOf("ann", secret) + `"}}}`, both},
		"an identity token":   {`{"auths":{"HOST":{"identitytoken":"s3cret"}}}`, identity},
		"identity and a user": {`{"auths":{"HOST":{"auth":"` + authOf("<token>", "x") + `","identitytoken":"s3cret"}}}`, identity},
	} {
		t.Run(name, func(t *testing.T) {
			for _, require := range test.require {
				require()
				c, _ := withFile(t, s, test.file)
				wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
			}
		})
	}
}

// A file that has no credentials for the host is an error that says so, and nothing is sent
// in their place. Helpers are not executed.
func TestDockerConfigFilesThatCannotBeUsed(t *testing.T) {
	s := registrytest.New(t)
	s.RequireToken(map[string]string{"ann": secret})
	for name, test := range map[string]struct{ file, want string }{
		"a helper for it":      {`{"credHelpers":{"HOST":"ecr-login"},"auths":{"HOST":{"auth":"` + authOf("ann", secret) + `"}}}`, "docker-credential-ecr-login"},
		"a store":              {`{"credsStore":"desktop","auths":{"HOST":{}}}`, "docker-credential-desktop"},
		"no entry":             {`{"auths":{"ghcr.io":{"auth":"` + authOf("ann", secret) + `"}}}`, "no entry"},
		"a part of a registry": {`{"auths":{"HOST/acme":{"auth":"` + authOf("ann", secret) + `"}}}`, "no entry"},
		"an empty entry":       {`{"auths":{"HOST":{}}}`, "without credentials"},
		"no password":          {`{"auths":{"HOST":{"auth":"` + authOf("ann", "") + `"}}}`, "without credentials"},
		"not base64":           {`{"auths":{"HOST":{"auth":"s3cret!"}}}`, "not user:password in base64"},
		"no colon":             {`{"auths":{"HOST":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(secret)) + `"}}}`, "not user:password in base64"},
		"not JSON":             {`auths: {HOST: {auth: s3cret}}`, "not JSON"},
		"nothing":              {``, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Forget()
			c, path := withFile(t, s, test.file)
			wantProblem(t, c, s.Host(), gitops.Unauthorized, "dockerConfigFile", test.want)
			if n := s.Count("", "token"); n != 0 {
				t.Errorf("%d tokens were asked for", n)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			wantProblem(t, c, s.Host(), gitops.Unauthorized, "cannot be read")
		})
	}
}

// wantProblem looks twice, for an error with the code, whose sentence names the host, has the
// words and has no secret.
func wantProblem(t *testing.T, c *registry.Client, host string, code gitops.Code, words ...string) {
	t.Helper()
	for range 2 {
		answer, err := c.Look(t.Context(), image.Question{Repository: host + "/acme/api", Tag: "v1"})
		if gitops.CodeOf(err) != code {
			t.Fatalf("got %+v, %v, want %s", answer, err, code)
		}
		for _, word := range append(words, "registry "+host+" ") {
			if !strings.Contains(gitops.PublicOf(err), word) {
				t.Errorf("%q does not say %q", gitops.PublicOf(err), word)
			}
		}
		for _, hidden := range []string{secret, authOf("ann", secret), "token-1"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("%q has a secret", err)
			}
		}
	}
}

// Docker Hub's key is an address, and its token server another host.
func TestDockerHubsKey(t *testing.T) {
	s, caFile := registrytest.NewTLS(t, "registry-1.docker.io", time.Now().Add(time.Hour))
	one := s.Push("acme/api", "v1", registrytest.Image{})
	s.RequireBasic(map[string]string{"ann": secret})
	for _, key := range []string{"https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"} {
		path := filepath.Join(t.TempDir(), "docker.json")
		writeFile(t, path, `{"auths":{"hub":{"auth":"`+authOf("no", "no")+`"},"`+key+`":{"auth":"`+authOf("ann", secret)+`"}}}`)
		c := client(t, registry.Config{Dial: s.Dial, Hosts: []registry.Host{{Name: "docker.io", DockerConfigFile: path, CAFile: caFile}}})
		wantDigest(t, look(t, c, "docker.io", "v1"), one.Digest)
	}
}

// What is in the file counts when a token is needed again, without a restart.
func TestChangedDockerConfigFile(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	file := func(password string) string { return `{"auths":{"HOST":{"auth":"` + authOf("ann", password) + `"}}}` }
	for name, require := range map[string]func(map[string]string){"basic": s.RequireBasic, "token": s.RequireToken} {
		t.Run(name, func(t *testing.T) {
			require(map[string]string{"ann": "first"})
			c, path := withFile(t, s, file("first"))
			wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
			require(map[string]string{"ann": secret})
			wantProblem(t, c, s.Host(), gitops.Unauthorized, "rejects the credentials in its dockerConfigFile")
			writeFile(t, path, strings.ReplaceAll(file(secret), "HOST", s.Host()))
			wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
		})
	}
}

// A registry that wants credentials, and has none in the configuration.
func TestWithoutCredentials(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	c := client(t, registry.Config{})
	s.RequireToken(nil)
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
	s.RequireToken(map[string]string{"ann": secret})
	wantProblem(t, c, s.Host(), gitops.Unauthorized, "401", "set dockerConfigFile")
	s.RequireBasic(map[string]string{"ann": secret})
	wantProblem(t, c, s.Host(), gitops.Unauthorized, "401", "set dockerConfigFile")
}

// Fifty looks that have no token ask for one, and so they do when it expires.
func TestFiftyLooksAskForOneToken(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	s.RequireToken(nil)
	c := client(t, registry.Config{})
	for _, expired := range []int{0, http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest} {
		s.Expire(expired, nil)
		s.Forget()
		var looks sync.WaitGroup
		for range 50 {
			looks.Go(func() {
				if _, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"}); err != nil {
					t.Error(err)
				}
			})
		}
		looks.Wait()
		if n := s.Count("", "token"); n != 1 {
			t.Errorf("after tokens expired as %d, 50 looks asked for %d", expired, n)
		}
	}
}

// However a registry says that a token has expired, it is renewed once; where that does not
// help it is an error, and the next look does not ask for another.
func TestAnExpiredTokenIsRenewedOnce(t *testing.T) {
	s, clock := registrytest.New(t), clocktest.New()
	one := s.Push("acme/api", "v1", registrytest.Image{})
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest} {
		s.RequireToken(nil)
		c := client(t, registry.Config{Now: clock.Now})
		for range 3 {
			wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
			s.Expire(status, nil)
		}
		s.Forget()
		remove := s.Inject(registrytest.Fault{Kind: "manifests", Answer: registrytest.Status(status)})
		for range 3 {
			if answer, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"}); err == nil {
				t.Errorf("answered %d: %+v", status, answer)
			}
		}
		if n := s.Count(http.MethodHead, "manifests"); n > 6 {
			t.Errorf("three looks that were answered %d sent %d HEADs", status, n)
		}
		remove()
		wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
	}
}
