// Package oidc authenticates jobs of GitHub Actions, without a secret that anybody
// keeps: a job asks GitHub for a token that says what it is, and sends it along.
//
// GitHub signs such a token for every job of every repository there is, so that it
// is genuine says only who asks. What the job may do is for the access rules to say,
// by the numbers that GitHub never gives out again. Two things are settled here:
//
//   - The token is genuine and for us: signed RS256 with a key that its issuer
//     publishes now, for our audience, not expired, made a few minutes ago at most.
//   - It is used for one order: whoever reads it on its way cannot order something
//     else with it.
//
// Facts: GitHub's documentation, "OpenID Connect reference" (issuers, claims; the
// sub claim has more than one form and can be changed by administrators, so it is
// not looked at); RFC 7519; OpenID Connect Core 1.0, section 3.1.3.7.
package oidc

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says whose tokens are accepted.
type Config struct {
	// Audience that tokens must be for: a URL of ours that nobody else uses.
	// Required.
	Audience string

	// Issuers of tokens, exactly as in their iss claim. Required.
	Issuers []string

	// MaxAge of a token since it was made, however long it says it lasts. Required.
	MaxAge time.Duration

	// RootCAs are trusted for the issuers' certificates. Default: the system's.
	RootCAs *x509.CertPool

	Logger *slog.Logger     // default: nothing is logged
	Now    func() time.Time // default time.Now
}

// Verifier authenticates tokens. Safe for concurrent use.
type Verifier struct {
	audience string
	maxAge   time.Duration
	now      func() time.Time
	issuers  map[string]*keySet

	end        context.CancelFunc
	background *sync.WaitGroup
}

const (
	maxToken  = 16 << 10 // a token of GitHub's is about two kilobytes
	clockSkew = time.Minute
)

// New checks the configuration. It does not use the network: an issuer's keys are
// fetched when they are first needed. Its errors are [gitops.Invalid], name the
// field and are joined.
func New(c Config) (*Verifier, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{audience: c.Audience, maxAge: c.MaxAge, now: c.Now, issuers: make(map[string]*keySet), background: new(sync.WaitGroup)}
	life, end := context.WithCancel(context.Background())
	v.end = end
	var problems []error
	if c.Audience == "" {
		problems = append(problems, gitops.FieldErrorf("audience", "is missing: a URL of yours, which the job names when it asks for its token"))
	} else if strings.HasPrefix(c.Audience, "https://github.com/") {
		problems = append(problems, gitops.FieldErrorf("audience", "must not be GitHub's default: tokens for other services have it, too"))
	}
	if c.MaxAge <= 0 {
		problems = append(problems, gitops.FieldErrorf("maxAge", "must be above 0"))
	}
	if len(c.Issuers) == 0 {
		problems = append(problems, gitops.FieldErrorf("issuers", "must name at least one issuer"))
	}
	for i, issuer := range c.Issuers {
		field := fmt.Sprintf("issuers[%d]", i)
		problems = append(problems, checkIssuer(field, issuer))
		if _, twice := v.issuers[issuer]; twice {
			problems = append(problems, gitops.FieldErrorf(field, "stands here twice"))
		}
		v.issuers[issuer] = newKeySet(life, v.background, issuer, c)
	}
	if err := errors.Join(problems...); err != nil {
		end()
		return nil, err
	}
	return v, nil
}

// Close ends what goes on in the background. The verifier must not be used after.
func (v *Verifier) Close() error {
	v.end()
	v.background.Wait()
	return nil
}

func checkIssuer(field, issuer string) error {
	at, err := url.Parse(issuer)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.RawQuery != "" || at.Fragment != "" || strings.HasSuffix(issuer, "/"):
		return gitops.FieldErrorf(field, "must be an https:// address without a slash at its end, such as https://token.actions.githubusercontent.com")
	case at.User != nil:
		return gitops.FieldErrorf(field, "must not hold credentials")
	case at.Scheme == "http" && !gitops.IsLoopback(at.Hostname()):
		return gitops.FieldErrorf(field, "must begin with https://: over http anybody on the way could publish keys")
	}
	return nil
}

// Prepare fetches the issuer's keys when the key that a token names is not here. The
// error's code is Unavailable when they cannot be fetched, and Unauthorized for a key that
// the issuer does not publish. A token that Authenticate refuses without a key is
// prepared.
func (v *Verifier) Prepare(ctx context.Context, bearer string) error {
	issuer, err := issuerOf(bearer)
	if err != nil {
		return nil
	}
	keys, ok := v.issuers[issuer]
	if !ok {
		return nil
	}
	return keys.prepare(ctx, bearer)
}

// Authenticate checks a token. The error's code is Unauthorized for a token that is
// not valid, and Unavailable when the issuer's keys cannot be fetched. Its sentence
// names what is wrong and never the token.
func (v *Verifier) Authenticate(ctx context.Context, bearer string) (Job, error) {
	issuer, err := issuerOf(bearer)
	if err != nil {
		return Job{}, err
	}
	keys, ok := v.issuers[issuer]
	if !ok {
		return Job{}, gitops.Errorf(gitops.Unauthorized, "the token's issuer is not one that is configured")
	}
	asked := &lookup{keys: keys}
	verifier := oidc.NewVerifier(issuer, asked, &oidc.Config{ClientID: v.audience, SupportedSigningAlgs: []string{oidc.RS256}, Now: v.now})
	token, err := verifier.Verify(ctx, bearer)
	if err != nil {
		return Job{}, refusal(err, asked.problem)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return Job{}, gitops.Errorf(gitops.Unauthorized, "the token's claims are not those of GitHub Actions").WithCause(err)
	}
	if err := v.checkUse(token, c); err != nil {
		return Job{}, err
	}
	return Job{Job: c.job(token.Issuer), id: c.ID, until: token.Expiry, sha: c.SHA}, nil
}

// issuerOf reads whose token it claims to be, which decides only whose keys it is
// held against.
func issuerOf(bearer string) (string, error) {
	parts := strings.Split(bearer, ".")
	if len(bearer) > maxToken || len(parts) != 3 {
		return "", gitops.Errorf(gitops.Unauthorized, "this is not a token of GitHub Actions: it is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(payload, &claimed) != nil {
		return "", gitops.Errorf(gitops.Unauthorized, "this is not a token of GitHub Actions: it is no JWT")
	}
	return claimed.Issuer, nil
}

// refusal says which check failed, as far as that helps whoever sent the token.
func refusal(err error, noKey *gitops.Error) error {
	var expired *oidc.TokenExpiredError
	switch {
	case noKey != nil:
		return noKey
	case errors.As(err, &expired):
		return gitops.Errorf(gitops.Unauthorized, "the token has expired: ask for one right before the order")
	}
	return gitops.Errorf(gitops.Unauthorized, "invalid token: it must be signed RS256 by its issuer, be for our audience, and not be for later").WithCause(withoutToken(err))
}

// withoutToken keeps what a library says short: a malformed token must not reach
// the log by way of an error.
func withoutToken(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(tokenLike.ReplaceAllString(text[:min(len(text), 300)], "[token]"))
}

// tokenLike is text long enough to be a part of a token.
var tokenLike = regexp.MustCompile(`[A-Za-z0-9_=.-]{40,}`)

// idGrammar is what a jti may be: GitHub's are UUIDs.
var idGrammar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// checkUse checks what the library does not: the token's age, that it is for
// nobody besides us, and that it can be told from others.
func (v *Verifier) checkUse(token *oidc.IDToken, c claims) error {
	age := v.now().Sub(token.IssuedAt)
	switch {
	case !slices.Equal(token.Audience, []string{v.audience}):
		return gitops.Errorf(gitops.Unauthorized, "the token is for other services, too")
	case token.IssuedAt.IsZero() || token.IssuedAt.Unix() <= 0:
		return gitops.Errorf(gitops.Unauthorized, "the token does not say when it was made")
	case age < -clockSkew:
		return gitops.Errorf(gitops.Unauthorized, "the token was made in the future: one of the two clocks is wrong")
	case age > v.maxAge:
		return gitops.Errorf(gitops.Unauthorized, "the token is older than %s: ask for one right before the order", v.maxAge)
	case !idGrammar.MatchString(c.ID):
		return gitops.Errorf(gitops.Unauthorized, "the token has no id of its own (jti)")
	}
	return nil
}
