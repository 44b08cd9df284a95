package git

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	return writeFile(t, token+"\n")
}

func TestTheTokenIsReadForEveryRequest(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.server.RequireToken("first")
	path := tokenFile(t, "first")
	r := o.remote(func(c *Config) { c.Credentials = TokenFile{Path: path} })
	if err := looks(r); err != nil {
		t.Fatal(err)
	}
	o.server.RequireToken("second")
	if err := looks(r); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Fatalf("with the old token: %v, want unauthorized", err)
	}
	if err := os.WriteFile(path, []byte("  second\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := looks(r); err != nil {
		t.Fatal(err)
	}
}

func TestATokenFileThatHoldsNoTokenSendsNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	paths := []string{filepath.Join(t.TempDir(), "none")}
	for _, content := range []string{"", "two words", "a\x00b", strings.Repeat("x", 20_000)} {
		paths = append(paths, tokenFile(t, content))
	}
	for _, path := range paths {
		err := looks(o.remote(func(c *Config) { c.Credentials = TokenFile{Path: path} }))
		if gitops.CodeOf(err) != gitops.Unauthorized || !RejectedBeforeGit(errors.Unwrap(err)) {
			t.Errorf("%s: %v, want unauthorized", path, err)
		}
	}
	if n := o.server.Counts().Total(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// changing are credentials that have another password once one was refused.
type changing struct{ passwords, refused []string }

func (c *changing) Basic(context.Context) (user, password string, err error) {
	return "x-access-token", c.passwords[0], nil
}

func (c *changing) Invalidate(password string) {
	c.refused = append(c.refused, password)
	c.passwords = c.passwords[1:]
}

func TestCredentialsAreToldWhenTheyAreRefused(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.server.RequireToken("second")
	c := &changing{passwords: []string{"first", "second"}}
	r := o.remote(func(config *Config) { config.Credentials = c })
	if err := looks(r); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Fatalf("with the first password: %v", err)
	}
	if err := looks(r); err != nil || !slices.Equal(c.refused, []string{"first"}) {
		t.Errorf("with the second: %v; refused are %q", err, c.refused)
	}
}

// Neither a token nor where it is kept is in an error.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	const secret = "ghs_s3cr3t"
	o := newOrigin(t)
	o.server.RequireToken("another")
	file := tokenFile(t, secret)
	r := o.remote(func(c *Config) { c.Credentials = TokenFile{Path: file} })
	for _, f := range []gitserver.Fault{{}, {Cut: true}, {Status: 500}, {Status: 400, Body: "bad token " + secret}, {Status: 302, Header: http.Header{"Location": {"http://example.com/info/refs"}}}} {
		o.server.Inject(f)
		if text := fmt.Sprint(looks(r)); strings.Contains(text, secret) || strings.Contains(text, file) {
			t.Errorf("an error tells too much: %s", text)
		}
	}
}

// A server may put what it was sent into the words with which it refuses a push.
func TestSecretsStayInsideARefusal(t *testing.T) {
	t.Parallel()
	const secret = "ghs_s3cr3t"
	o := newOrigin(t)
	if err := o.repo.Hook("update", `echo "fatal: unable to access 'https://bot:`+secret+`@example.com/x.git'" >&2; exit 1`); err != nil {
		t.Fatal(err)
	}
	r := o.remote(func(c *Config) { c.Credentials = TokenFile{Path: tokenFile(t, secret)} })
	_, err := o.push(r, o.advertised(r, ReceivePack))
	var no *Refusal
	if !errors.As(err, &no) || !strings.Contains(no.Error(), "https://bot:***@example.com/x.git") {
		t.Errorf("the reason is %v", err)
	}
}
