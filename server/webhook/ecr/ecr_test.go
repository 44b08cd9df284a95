package ecr_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
)

var _ webhook.Receiver = (*ecr.Receiver)(nil)

const header = "X-Tallyman-Key"

func secrets(texts ...string) [][]byte {
	raw := make([][]byte, len(texts))
	for i, s := range texts {
		raw[i] = []byte(s)
	}
	return raw
}

// config is an API destination's with a key.
func config(secrets [][]byte) ecr.Config {
	return ecr.Config{Auth: ecr.APIKey, Header: header, Username: "tallyman", Secrets: func() [][]byte { return secrets }, Now: time.Now}
}

func receiver(t testing.TB, c ecr.Config) *ecr.Receiver {
	t.Helper()
	r, err := ecr.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*ecr.Config)
		field string
	}{
		{"an unknown type", func(c *ecr.Config) { c.Auth = "API_KEY" }, "sources.eventbridge.auth"},
		{"no header", func(c *ecr.Config) { c.Header = "" }, "sources.eventbridge.header"},
		{"a header of two words", func(c *ecr.Config) { c.Header = "X Key" }, "sources.eventbridge.header"},
		{"a header with its colon", func(c *ecr.Config) { c.Header = "X-Key:" }, "sources.eventbridge.header"},
		{"a user with a colon", func(c *ecr.Config) { c.Auth, c.Username = ecr.Basic, "a:b" }, "sources.eventbridge.username"},
		{"no user", func(c *ecr.Config) { c.Auth, c.Username = ecr.OAuth, "" }, "sources.eventbridge.username"},
		{"no secret", func(c *ecr.Config) { c.Secrets = func() [][]byte { return nil } }, "sources.eventbridge.secretFiles"},
		{"an empty secret", func(c *ecr.Config) { c.Secrets = func() [][]byte { return secrets("") } }, "sources.eventbridge.secretFiles"},
		{"an empty secret among others", func(c *ecr.Config) { c.Secrets = func() [][]byte { return secrets("s", "") } }, "sources.eventbridge.secretFiles"},
		{"a secret of two lines", func(c *ecr.Config) { c.Secrets = func() [][]byte { return secrets("s\nt") } }, "sources.eventbridge.secretFiles"},
		{"a secret that ends in a space", func(c *ecr.Config) { c.Secrets = func() [][]byte { return secrets("s ") } }, "sources.eventbridge.secretFiles"},
		{"a secret of raw bytes", func(c *ecr.Config) { c.Secrets = func() [][]byte { return secrets("\x01\xfe") } }, "sources.eventbridge.secretFiles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := config(secrets("s"))
			c.edit(&made)
			r, err := ecr.New(made)
			if r != nil || gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), c.field+": ") {
				t.Errorf("New gives %v, %v", r, err)
			}
		})
	}
	c := config(secrets("Basic dXNlcjpwYXNz"))
	c.Header = "authorization"
	if _, err := ecr.New(c); err != nil {
		t.Errorf("an API destination's basic authentication is refused: %v", err)
	}
}

func TestAuthenticate(t *testing.T) {
	old, next := "0ld-secret", "next-secret with space"
	for _, c := range []struct {
		name    string
		secrets []string
		header  http.Header
		good    bool
	}{
		{"the secret", []string{old}, http.Header{"X-Tallyman-Key": {old}}, true},
		{"the old one while both are good", []string{old, next}, http.Header{"X-Tallyman-Key": {old}}, true},
		{"the next one while both are good", []string{old, next}, http.Header{"X-Tallyman-Key": {next}}, true},
		{"the same twice", []string{old, old}, http.Header{"X-Tallyman-Key": {old}}, true},
		{"the old one afterwards", []string{next}, http.Header{"X-Tallyman-Key": {old}}, false},
		{"no header", []string{old}, http.Header{}, false},
		{"an empty header", []string{old}, http.Header{"X-Tallyman-Key": {""}}, false},
		{"another header", []string{old}, http.Header{"X-Api-Key": {old}}, false},
		{"its beginning", []string{old}, http.Header{"X-Tallyman-Key": {old[:3]}}, false},
		{"more than it", []string{old}, http.Header{"X-Tallyman-Key": {old + " "}}, false},
		{"in other letters", []string{old}, http.Header{"X-Tallyman-Key": {strings.ToUpper(old)}}, false},
		{"both at once", []string{old, next}, http.Header{"X-Tallyman-Key": {old + next}}, false},
		{"a good one behind a bad one", []string{old}, http.Header{"X-Tallyman-Key": {"bad", old}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := config(secrets(c.secrets...))
			made.Header = "x-tallyman-key"
			err := receiver(t, made).Authenticate(c.header, []byte("a body that nobody looks at"))
			switch {
			case c.good && err != nil:
				t.Errorf("refused: %v", err)
			case !c.good && gitops.CodeOf(err) != gitops.Unauthorized:
				t.Errorf("answered with %v, want unauthorized", err)
			case !c.good && (strings.Contains(err.Error(), old) || strings.Contains(err.Error(), next)):
				t.Errorf("the error %q gives a secret away", err)
			}
		})
	}
}

// basic is the header Authorization for a user and a password.
func basic(user, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header
}

// Whoever subscribes the wrong path is told the right one.
func TestAuthenticateAMessageOfSNS(t *testing.T) {
	header := http.Header{"X-Amz-Sns-Message-Type": {"Notification"}}
	for _, auth := range []ecr.Auth{ecr.APIKey, ecr.Basic} {
		made := config(secrets("s3cret"))
		made.Auth = auth
		if err := receiver(t, made).Authenticate(header, nil); err == nil || !strings.HasSuffix(gitops.PublicOf(err), ": messages of Amazon SNS go to /webhooks/sns") {
			t.Errorf("%s: %v", auth, err)
		}
	}
}

func TestAuthenticateBasic(t *testing.T) {
	c := config(secrets("old-s3cret", "new-s3cret:with colon"))
	c.Auth = ecr.Basic
	r := receiver(t, c)
	for name, h := range map[string]struct {
		header http.Header
		good   bool
	}{
		"the old password": {basic("tallyman", "old-s3cret"), true},
		"the new one":      {basic("tallyman", "new-s3cret:with colon"), true},
		"no header":        {http.Header{}, false},
		"the key's header": {http.Header{"X-Tallyman-Key": {"old-s3cret"}}, false},
		"another user":     {basic("admin", "old-s3cret"), false},
		"no user":          {basic("", "old-s3cret"), false},
		"no password":      {basic("tallyman", ""), false},
		"half a password":  {basic("tallyman", "old"), false},
		"not encoded":      {http.Header{"Authorization": {"Basic tallyman:old-s3cret"}}, false},
		"a bearer":         {http.Header{"Authorization": {"Bearer old-s3cret"}}, false},
	} {
		err := r.Authenticate(h.header, nil)
		if h.good != (err == nil) || err != nil && (gitops.CodeOf(err) != gitops.Unauthorized || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.IssueToken(basic("tallyman", "old-s3cret"), nil); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("a token is given: %v", err)
	}
}

func TestOAuth(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := secrets("old-s3cret", "new-s3cret", "a:b")
	c := config(nil)
	c.Auth, c.Secrets, c.Now = ecr.OAuth, func() [][]byte { return good }, func() time.Time { return now }
	r := receiver(t, c)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	for name, ask := range map[string]struct {
		header http.Header
		body   string
		code   gitops.Code // "" when it is given
	}{
		"in the header":                   {with(basic("tallyman", "old-s3cret"), "Content-Type", "application/x-www-form-urlencoded"), "grant_type=client_credentials", ""},
		"in the header alone":             {basic("tallyman", "new-s3cret"), "", ""},
		"in the form":                     {form, "grant_type=client_credentials&client_id=tallyman&client_secret=new-s3cret", ""},
		"no credential":                   {form, "grant_type=client_credentials", gitops.Unauthorized},
		"a wrong secret":                  {form, "client_id=tallyman&client_secret=guess", gitops.Unauthorized},
		"a wrong client":                  {form, "client_id=admin&client_secret=new-s3cret", gitops.Unauthorized},
		"a wrong one in front":            {with(basic("tallyman", "guess"), "Content-Type", "application/x-www-form-urlencoded"), "client_id=tallyman&client_secret=new-s3cret", gitops.Unauthorized},
		"the boundary elsewhere":          {form, "client_id=tallyman%3Aa&client_secret=b", gitops.Unauthorized},
		"a broken one without the secret": {form, "%zz", gitops.Unauthorized},
		"a form that is not one":          {with(basic("tallyman", "new-s3cret"), "Content-Type", "application/x-www-form-urlencoded"), "%zz", gitops.Invalid},
		"a form of another type":          {http.Header{"Content-Type": {"application/json"}}, "client_id=tallyman&client_secret=new-s3cret", gitops.Unauthorized},
		"another grant":                   {form, "grant_type=password&client_id=tallyman&client_secret=new-s3cret", gitops.Invalid},
		"another grant, a secret":         {form, "grant_type=password&client_id=tallyman&client_secret=guess", gitops.Unauthorized},
	} {
		token, err := r.IssueToken(ask.header, []byte(ask.body))
		if ask.code != "" {
			if gitops.CodeOf(err) != ask.code || token.AccessToken != "" || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %+v, %v", name, token, err)
			}
			continue
		}
		if err != nil || token.TokenType != "Bearer" || token.ExpiresIn != 3600 || strings.Contains(token.AccessToken, "s3cret") {
			t.Errorf("%s: %+v, %v", name, token, err)
		}
	}
	token, err := r.IssueToken(basic("tallyman", "old-s3cret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(value string) http.Header { return http.Header{"Authorization": {value}} }
	check := func(name, value string, want bool) {
		t.Helper()
		err := r.Authenticate(bearer(value), nil)
		if want != (err == nil) || err != nil && gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	until, mac, _ := strings.Cut(token.AccessToken, ".")
	check("the token", "Bearer "+token.AccessToken, true)
	check("in other letters", "bearer "+token.AccessToken, true)
	check("none", "", false)
	check("half of it", "Bearer "+token.AccessToken[:20], false)
	check("another end", "Bearer 9"+until+"."+mac, false)
	check("no end", "Bearer ."+mac, false)
	check("the secret itself", "Bearer old-s3cret", false)
	if err := r.Authenticate(basic("tallyman", "old-s3cret"), nil); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Errorf("the client's secret in place of a token: %v", err)
	}
	now = now.Add(time.Hour - time.Second)
	check("at its end", "Bearer "+token.AccessToken, true)
	now = now.Add(time.Second)
	check("after it", "Bearer "+token.AccessToken, false)
	now = now.Add(-time.Minute)
	good = secrets("new-s3cret")
	check("after its secret was taken back", "Bearer "+token.AccessToken, false)
}

func TestDecode(t *testing.T) {
	e, err := receiver(t, config(secrets("s"))).Decode(nil, []byte(`{"id": "1", "source": "aws.ecr", "detail-type": "ECR Image Scan"}`))
	if err != nil || e.Delivery != (gitops.DeliveryKey{Source: "eventbridge", ID: "1"}) || e.IgnoreReason == "" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = receiver(t, config(secrets("s"))).Decode(nil, []byte("{}")); err == nil || e.Delivery != (gitops.DeliveryKey{}) {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzAuthenticate(f *testing.F) {
	c := config(secrets("a-s3cret-that-nobody-guesses"))
	var all []*ecr.Receiver
	for _, auth := range []ecr.Auth{ecr.APIKey, ecr.Basic, ecr.OAuth} {
		c.Auth = auth
		r, err := ecr.New(c)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, r)
	}
	f.Add("Basic dGFsbHltYW46eA==", "x", "grant_type=client_credentials&client_id=tallyman&client_secret=x")
	f.Add("Bearer 1893456000.AAAA", "", "%")
	f.Fuzz(func(t *testing.T, authorization, key, body string) {
		h := http.Header{"Authorization": {authorization}, header: {key}, "Content-Type": {"application/x-www-form-urlencoded"}}
		for _, r := range all {
			if err := r.Authenticate(h, []byte(body)); gitops.CodeOf(err) != gitops.Unauthorized {
				t.Errorf("told %v", err)
			}
			if token, err := r.IssueToken(h, []byte(body)); err == nil {
				t.Errorf("given %+v", token)
			}
		}
	})
}
