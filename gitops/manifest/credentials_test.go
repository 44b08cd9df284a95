package manifest

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// changing are credentials that have another password once one was refused.
type changing struct {
	passwords []string
	refused   []string
}

func (c *changing) Basic(context.Context) (user, password string, err error) {
	return "x-access-token", c.passwords[0], nil
}

func (c *changing) Invalidate(password string) {
	c.refused = append(c.refused, password)
	c.passwords = c.passwords[1:]
}

func TestCredentialsAreToldOfARefusal(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.server.RequireToken("second")
	c := &changing{passwords: []string{"first", "second"}}
	w := o.writer(func(config *Config) { config.Credentials = c })
	u := o.update("dev", "shop", "main-0000001")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Fatalf("with the first password: %v", err)
	}
	o.check(o.write(w, u)...)
	if diff := cmp.Diff([]string{"first"}, c.refused); diff != "" {
		t.Error(diff)
	}
}

// The author is asked for until somebody says who it is, and once.
func TestTheAuthorIsAskedFor(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	asked := 0
	answers := []git.Signature{{}, {}, {Name: "a < b", Email: "b@example.com"}, {Name: "shop[bot]", Email: "1+shop[bot]@users.noreply.github.com"}}
	w := o.writer(func(c *Config) {
		c.Author = git.Signature{Email: "mail@example.com"}
		c.Identify = func(ctx context.Context) (git.Signature, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("asked for ever")
			}
			asked++
			if asked <= 2 {
				return git.Signature{}, gitops.Errorf(gitops.Unavailable, "nobody knows")
			}
			return answers[asked-1], nil
		}
	})
	u := o.update("dev", "shop", "main-0000001")
	for _, says := range []string{"nobody knows", "nobody knows", "invalid author name or email"} {
		if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), says) {
			t.Errorf("told %v, want %q", err, says)
		}
	}
	if _, err := writeAll(t.Context(), w, u, o.update("prod", "shop", "2.0.0")); err != nil {
		t.Fatal(err)
	}
	by, err := o.repo.Git("log", "-2", "--format=%an <%ae> %cn <%ce>", "main")
	want := "shop[bot] <mail@example.com> shop[bot] <mail@example.com>"
	if err != nil || by != want+"\n"+want || asked != 4 {
		t.Errorf("after %d questions the commits are by %q, %v", asked, by, err)
	}
}

// A server with a certificate of a private CA is trusted where that is
// configured, and not otherwise.
func TestPrivateCA(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	behind, err := url.Parse(o.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer front.Close()
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	_, path, _ := strings.Cut(o.repo.URL, o.server.URL)
	over := func(roots *x509.CertPool) *Writer {
		return o.writer(func(c *Config) { c.URL, c.RootCAs = front.URL+path, roots })
	}
	if err := over(nil).Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with the system's CAs: %v", err)
	}
	o.check(o.write(over(roots), o.update("dev", "shop", "main-0000001"))...)
}

// The environment's proxy is asked. net/http reads it once for each process and
// never uses it for loopback, so another process asks for a host elsewhere.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	const child = "TALLYMAN_TEST_PROXY_CHILD"
	if os.Getenv(child) != "" {
		w, err := New(Config{URL: "http://git.example/shop/manifests.git", Author: git.Signature{Name: "bot", Email: "bot@example.com"}, Target: testTarget, Prover: testProver})
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(w.Handshake(t.Context()), w.Close())
		if !strings.Contains(err.Error(), "status 418") {
			t.Errorf("told %v", err)
		}
		return
	}
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		w.WriteHeader(http.StatusTeapot)
	}))
	defer proxy.Close()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), child+"=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, _ := asked.Load().(string); !strings.HasPrefix(got, "http://git.example/shop/manifests.git/info/refs") {
		t.Errorf("the proxy was asked for %q", got)
	}
}
