package oidc

import (
	"crypto/rsa"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// Settle waits for what goes on in the background.
func (v *Verifier) Settle() { v.background.Wait() }

// Publish gives an issuer its keys as if it had just been asked.
func (v *Verifier) Publish(issuer string, jwks []byte) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		panic(err)
	}
	s := v.issuers[issuer]
	s.keys, s.fetched, s.tried = make(map[string]*rsa.PublicKey), s.now(), s.now()
	for _, key := range set.Keys {
		s.keys[key.KeyID] = key.Key.(*rsa.PublicKey)
	}
}
