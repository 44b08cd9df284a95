package oidc

import (
	"crypto/rsa"
	"encoding/json"
)

// Settle waits for what goes on in the background.
func (v *Verifier) Settle() { v.background.Wait() }

// Publish gives an issuer its keys as if it had just been asked.
func (v *Verifier) Publish(issuer string, jwks []byte) {
	s := v.issuers[issuer]
	var err error
	if s.keys, err = UsableKeys(jwks); err != nil {
		panic(err)
	}
	s.fetched, s.tried = s.now(), s.now()
}

// UsableKeys reads a key set.
func UsableKeys(jwks []byte) (map[string]*rsa.PublicKey, error) {
	var d keyDocument
	if err := json.Unmarshal(jwks, &d); err != nil {
		return nil, err
	}
	return d.usable()
}
