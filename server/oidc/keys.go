package oidc

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

// How often an issuer is asked for its keys. Issuers publish a key before they
// sign with it, so a key that was not there a moment ago is none of theirs.
const (
	askAgain   = 10 * time.Second // at the earliest, whatever tokens come
	freshFor   = 15 * time.Minute // after which the keys are fetched again beside the work
	staleAfter = 24 * time.Hour   // without an answer of the issuer: a key may have been taken back
	fetchTime  = 10 * time.Second
	maxKeys    = 1 << 20 // bytes of an answer
)

// lookup is the oidc.KeySet of one verification. The library keeps only the text
// of its error.
type lookup struct {
	keys    *keySet
	problem *gitops.Error // why there was no key
}

// VerifySignature implements oidc.KeySet. The algorithm was checked by its caller
// and is held to RS256 here as well.
func (l *lookup) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, errors.New("the token is malformed")
	}
	key, problem := l.keys.key(ctx, signed.Signatures[0].Header.KeyID)
	if problem != nil {
		l.problem = problem
		return nil, problem
	}
	return signed.Verify(key)
}

// prepare has the key that a token names here, if its issuer publishes it.
func (s *keySet) prepare(ctx context.Context, token string) error {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil // VerifySignature says so
	}
	if _, problem := s.key(ctx, signed.Signatures[0].Header.KeyID); problem != nil {
		return problem
	}
	return nil
}

// keySet is an issuer's keys. The library's own would fetch them for every token
// with a bad signature, so anybody could make us ask without end.
type keySet struct {
	issuer string
	life   context.Context
	flying *sync.WaitGroup
	client *http.Client
	now    func() time.Time
	logger *slog.Logger

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey // by kid; replaced, never changed
	fetched time.Time                 // when the issuer last answered
	tried   time.Time                 // when it was last asked
	problem error                     // why it did not answer then
	flight  chan struct{}             // closed when the fetch under way is done; nil when none is
}

func newKeySet(life context.Context, flying *sync.WaitGroup, issuer string, c Config) *keySet {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		DisableKeepAlives:   true, // asked every quarter of an hour
		ForceAttemptHTTP2:   true,
	}
	noRedirect := func(*http.Request, []*http.Request) error { return errors.New("the issuer redirects") }
	return &keySet{
		issuer: issuer, life: life, flying: flying, now: c.Now, logger: c.Logger,
		client: &http.Client{Transport: transport, Timeout: fetchTime, CheckRedirect: noRedirect},
	}
}

// key returns the issuer's key of that id.
func (s *keySet) key(ctx context.Context, id string) (*rsa.PublicKey, *gitops.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for asked := false; ; asked = true {
		now := s.now()
		key, known := s.keys[id]
		fresh, usable := now.Sub(s.fetched) < freshFor, now.Sub(s.fetched) < staleAfter
		due := s.tried.IsZero() || now.Sub(s.tried) >= askAgain
		if s.flight == nil && due && !asked && (!known || !fresh) {
			s.flight = make(chan struct{})
			s.tried = now
			done := s.flight
			s.flying.Go(func() { s.fetch(done) })
		}
		switch {
		case known && usable:
			return key, nil
		case s.flight != nil && !asked:
			if err := s.wait(ctx); err != nil {
				return nil, err
			}
		case s.problem != nil || !usable:
			return nil, gitops.Errorf(gitops.Unavailable, "the keys of the token's issuer cannot be fetched").WithCause(s.problem)
		default:
			return nil, gitops.Errorf(gitops.Unauthorized, "the token is signed with a key that its issuer does not publish")
		}
	}
}

// wait lets go of the lock until the fetch under way is done.
func (s *keySet) wait(ctx context.Context) *gitops.Error {
	done := s.flight
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return gitops.Errorf(gitops.Unavailable, "the keys of the token's issuer did not come in time").WithCause(ctx.Err())
	}
}

// fetch asks the issuer for its keys. When it does not answer those of before are
// kept.
func (s *keySet) fetch(done chan struct{}) {
	ctx, cancel := context.WithTimeout(s.life, fetchTime)
	defer cancel()
	keys, err := s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem = err; err == nil {
		s.keys, s.fetched = keys, s.now()
	} else {
		s.logger.Warn("an issuer's keys cannot be fetched", slog.String("issuer", s.issuer), slog.String("error", err.Error()))
	}
	s.flight = nil
	close(done)
}

// ask finds out where the keys are and gets them: OpenID Connect Discovery 1.0.
func (s *keySet) ask(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.get(ctx, s.issuer+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	own, err := url.Parse(s.issuer)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(about.Keys)
	if err != nil || about.Issuer != s.issuer || at.Scheme != own.Scheme || at.Host != own.Host {
		return nil, errors.New("the issuer describes another issuer, or keys on another host")
	}
	var set keyDocument
	if err := s.get(ctx, about.Keys, &set); err != nil {
		return nil, err
	}
	return set.usable()
}

// keyDocument is a JSON Web Key Set: RFC 7517, section 5.
type keyDocument struct {
	Keys []json.RawMessage `json:"keys"`
}

// usable are the keys of RSA that sign, by kid; an error when there is none. Keys
// of other kinds are left out.
func (d keyDocument) usable() (map[string]*rsa.PublicKey, error) {
	keys := make(map[string]*rsa.PublicKey)
	for _, raw := range d.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil {
			continue // of a kind that is not used here
		}
		public, ok := key.Key.(*rsa.PublicKey)
		if ok && key.KeyID != "" && (key.Use == "" || key.Use == "sig") && public.N.BitLen() >= 2048 {
			keys[key.KeyID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer publishes no key that could be used")
	}
	return keys, nil
}

func (s *keySet) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeys))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
