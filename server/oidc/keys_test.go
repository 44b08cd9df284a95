package oidc_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/oidc"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

func TestRotation(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	must := func() {
		t.Helper()
		if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
			t.Error(err)
		}
	}
	must()
	old := s.issuer.Token(audience, nil)
	s.issuer.Rotate()
	s.clock.Pass(11 * time.Second)
	must() // the new key is fetched when it is first seen
	if _, err := v.Authenticate(t.Context(), old); err != nil {
		t.Errorf("with the old key: %v", err)
	}
	s.issuer.TakeBack()
	s.clock.Pass(16 * time.Minute)
	must() // which has the keys fetched again, beside the work
	v.Settle()
	old = s.issuer.Token(audience, nil)
	s.issuer.Rotate()
	s.issuer.TakeBack()
	s.clock.Pass(16 * time.Minute)
	_, _ = v.Authenticate(t.Context(), old)
	v.Settle()
	_, err := v.Authenticate(t.Context(), s.issuer.Token(audience, map[string]any{"iat": s.clock.Now().Unix()}))
	if err != nil {
		t.Error(err)
	}
	_, err = v.Authenticate(t.Context(), old)
	refused(t, err, gitops.Unauthorized, "does not publish", old)
}

// What is prepared is authenticated without the network.
func TestPrepare(t *testing.T) {
	s := newSite(t)
	v, other := s.verifier(), oidctest.New(t)
	other.Rotate()
	made := other.Token(audience, map[string]any{"iss": s.issuer.URL}) // with the id key-2
	for name, token := range map[string]string{"no JWT": "a-token-of-the-api", "another issuer's": other.Token(audience, nil)} {
		if err := v.Prepare(t.Context(), token); err != nil || s.issuer.Fetches() > 0 {
			t.Errorf("%s: %v, and the keys were fetched %d times", name, err, s.issuer.Fetches())
		}
	}
	s.issuer.SetAway(true)
	if err := v.Prepare(t.Context(), s.issuer.Token(audience, nil)); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("while the issuer is away: %v", err)
	}
	s.issuer.SetAway(false)
	s.clock.Pass(11 * time.Second)
	if err := v.Prepare(t.Context(), s.issuer.Token(audience, nil)); err != nil || s.issuer.Fetches() != 1 {
		t.Errorf("%v, and the keys were fetched %d times", err, s.issuer.Fetches())
	}
	if err := v.Prepare(t.Context(), made); gitops.CodeOf(err) != gitops.Unauthorized {
		t.Errorf("a key that is made up: %v", err)
	}
	s.issuer.SetAway(true)
	if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
		t.Errorf("what is prepared: %v", err)
	}
}

// Whoever makes up key ids cannot make us ask the issuer more often.
func TestAFloodOfUnknownKeys(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	key := secrettest.Key(t)
	payload := []byte(`{"iss":"` + s.issuer.URL + `"}`)
	flood := func() {
		t.Helper()
		var all sync.WaitGroup
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			forged := oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: key, KeyID: id}, payload)
			all.Go(func() {
				for range 10 {
					_, err := v.Authenticate(t.Context(), forged)
					refused(t, err, gitops.Unauthorized, "does not publish", forged)
				}
			})
		}
		all.Wait()
	}
	flood()
	if n := s.issuer.Fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
		t.Errorf("a good token meanwhile: %v", err)
	}
	s.clock.Pass(11 * time.Second)
	flood()
	if n := s.issuer.Fetches(); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestTheIssuerIsAway(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	s.issuer.SetAway(true)
	token := s.issuer.Token(audience, nil)
	_, err := v.Authenticate(t.Context(), token)
	refused(t, err, gitops.Unavailable, "cannot be fetched", token)
	s.issuer.SetAway(false)
	_, err = v.Authenticate(t.Context(), token)
	refused(t, err, gitops.Unavailable, "cannot be fetched", token) // not asked again so soon
	s.clock.Pass(11 * time.Second)
	if _, err := v.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	// What is known goes on for a day.
	s.issuer.SetAway(true)
	s.clock.Pass(23 * time.Hour)
	for range 2 {
		if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
			t.Errorf("with the keys of before: %v", err)
		}
		v.Settle()
	}
	s.issuer.Rotate()
	s.clock.Pass(11 * time.Second)
	token = s.issuer.Token(audience, nil)
	_, err = v.Authenticate(t.Context(), token)
	refused(t, err, gitops.Unavailable, "cannot be fetched", token) // it may well be good
	s.clock.Pass(2 * time.Hour)
	_, err = v.Authenticate(t.Context(), token)
	refused(t, err, gitops.Unavailable, "cannot be fetched", token)
}

// Keys that were known a day ago do not count any more: one may have been taken
// back since.
func TestKeysAreGoodForADay(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
		t.Fatal(err)
	}
	s.issuer.SetAway(true)
	s.clock.Pass(24*time.Hour - time.Second)
	if _, err := v.Authenticate(t.Context(), s.issuer.Token(audience, nil)); err != nil {
		t.Errorf("within the day: %v", err)
	}
	v.Settle()
	s.clock.Pass(time.Second)
	token := s.issuer.Token(audience, nil)
	_, err := v.Authenticate(t.Context(), token)
	refused(t, err, gitops.Unavailable, "cannot be fetched", token)
}

func TestACallerWhoGivesUp(t *testing.T) {
	s := newSite(t)
	v := s.verifier()
	hold := make(chan struct{})
	s.issuer.Hold(hold)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	token := s.issuer.Token(audience, nil)
	_, err := v.Authenticate(ctx, token)
	refused(t, err, gitops.Unavailable, "in time", token)
	close(hold)
	if _, err := v.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// An issuer that points elsewhere is not followed.
func TestAnIssuerThatIsNotWhatItSays(t *testing.T) {
	elsewhere := oidctest.New(t)
	for name, answer := range map[string]http.HandlerFunc{
		"another's name": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer": "https://other.example", "jwks_uri": "` + elsewhere.URL + `/.well-known/jwks"}`))
		},
		"keys elsewhere": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"issuer": "http://` + r.Host + `", "jwks_uri": "` + elsewhere.URL + `/.well-known/jwks"}`))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/.well-known/openid-configuration", http.StatusFound)
		},
		"no keys": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"issuer": "http://` + r.Host + `", "jwks_uri": "http://` + r.Host + `/k", "keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}`))
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			s := newSite(t)
			s.config.Issuers = []string{server.URL}
			token := s.issuer.Token(audience, map[string]any{"iss": server.URL})
			_, err := s.verifier().Authenticate(t.Context(), token)
			refused(t, err, gitops.Unavailable, "cannot be fetched", token)
			if n := elsewhere.Fetches(); n != 0 {
				t.Errorf("asked elsewhere %d times", n)
			}
		})
	}
}

// What an issuer publishes besides what is used here does no harm.
func TestKeysOfOtherKinds(t *testing.T) {
	good, err := os.ReadFile("testdata/test_jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(good, &set); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) map[string]any {
		key := maps.Clone(set.Keys[0])
		key[name] = value
		return key
	}
	set.Keys = append(set.Keys, map[string]any{"kty": "EC", "crv": "P-256", "kid": "ec", "x": "AAAA", "y": "AAAA"}, map[string]any{"kty": "oct", "kid": "secret", "k": "AAAA"},
		with("kid", ""), map[string]any{"kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB"}, with("use", "enc"), map[string]any{"kid": "nothing"})
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := oidc.UsableKeys(text)
	if err != nil || len(keys) != 1 || keys["test-key-1"] == nil {
		t.Errorf("%v, %v", keys, err)
	}
}

func FuzzUsableKeys(f *testing.F) {
	good, err := os.ReadFile("testdata/test_jwks.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"keys": [{"kty": "RSA"}, 7, null]}`))
	f.Fuzz(func(t *testing.T, jwks []byte) {
		keys, err := oidc.UsableKeys(jwks)
		if (err == nil) == (len(keys) == 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for id, key := range keys {
			if id == "" || key.N.BitLen() < 2048 {
				t.Errorf("key %q of %d bits", id, key.N.BitLen())
			}
		}
	})
}
