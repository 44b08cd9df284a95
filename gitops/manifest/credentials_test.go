package manifest

import (
	"context"
	"crypto/x509"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

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

// What the configuration says of the connection reaches it, for writing and reading.
func TestAServerOfAPrivateCA(t *testing.T) {
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
	w := o.writer(func(c *Config) {
		c.URL, c.RootCAs = front.URL+strings.TrimPrefix(o.repo.URL, o.server.URL), roots
	})
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if _, err := w.View(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
