// Package oidctest is an issuer of OpenID Connect tokens as GitHub Actions is
// one, on the loopback interface, for tests.
package oidctest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// Issuer signs tokens and publishes its keys. Safe for concurrent use.
type Issuer struct {
	URL string // what tokens have as iss

	t    testing.TB
	http *httptest.Server

	mu        sync.Mutex
	now       func() time.Time
	keys      []jose.JSONWebKey // private; the last one signs
	rotations int
	away      bool
	hold      <-chan struct{}
	fetches   int
	ids       int
}

// New starts an issuer with one key that ends with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, now: time.Now}
	i.http = httptest.NewServer(i)
	i.URL = i.http.URL
	t.Cleanup(i.http.Close)
	i.Rotate()
	return i
}

// Rotate publishes another key besides those there are, and signs with it from
// now on. It returns the key's id.
func (i *Issuer) Rotate() string {
	key := secrettest.Key(i.t)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rotations++
	id := "key-" + strconv.Itoa(i.rotations)
	i.keys = append(i.keys, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.RS256), Use: "sig"})
	return id
}

// TakeBack publishes only the newest key.
func (i *Issuer) TakeBack() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// SetNow sets the clock that tokens are made by.
func (i *Issuer) SetNow(now func() time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = now
}

// SetAway makes the issuer answer 503, or not any more.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Hold makes answers wait until the channel is closed.
func (i *Issuer) Hold(until <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hold = until
}

// Fetches is how often the keys were asked for.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// ServeHTTP serves the discovery document and the keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	hold := i.hold
	if r.URL.Path == "/.well-known/jwks" {
		i.fetches++
	}
	i.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer any
	switch {
	case i.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/.well-known/jwks", "id_token_signing_alg_values_supported": []string{"RS256"}}
	case r.URL.Path == "/.well-known/jwks":
		var set jose.JSONWebKeySet
		for _, key := range i.keys {
			set.Keys = append(set.Keys, key.Public())
		}
		answer = set
	default:
		i.t.Errorf("the issuer is asked for %s", r.URL.Path)
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// Claims are those of a job of octo-org/octo-repo on its main branch, started by
// a push. Its token is for the audience and lives five minutes.
func (i *Issuer) Claims(audience string) map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ids++
	now := i.now().Unix()
	return map[string]any{
		"iss": i.URL, "aud": audience, "jti": fmt.Sprintf("4a576b35-ff09-41c5-af2c-%012d", i.ids), "iat": now, "nbf": now - 300, "exp": now + 300,
		"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository": "octo-org/octo-repo", "repository_id": "456789",
		"repository_owner": "octo-org", "repository_owner_id": "123456", "ref": "refs/heads/main", "ref_type": "branch",
		"event_name": "push", "actor": "octocat", "actor_id": "12", "run_id": "16055869479", "run_attempt": "1", "runner_environment": "github-hosted",
		"workflow": "build", "workflow_ref": "octo-org/octo-repo/.github/workflows/build.yml@refs/heads/main",
		"job_workflow_ref": "octo-org/octo-repo/.github/workflows/build.yml@refs/heads/main",
	}
}

// Token signs the usual claims with changes; a nil value takes a claim out.
func (i *Issuer) Token(audience string, changes map[string]any) string {
	claims := i.Claims(audience)
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return i.Sign(claims)
}

// Sign makes a token of any claims, with the newest key.
func (i *Issuer) Sign(claims map[string]any) string { return i.SignBy(jose.RS256, claims) }

// SignBy is Sign by another algorithm of RSA, which no issuer of GitHub's uses.
func (i *Issuer) SignBy(algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	key := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	return Sign(i.t, algorithm, key, payload)
}

// Sign signs any payload with any key, by any algorithm.
func Sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
