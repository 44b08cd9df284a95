package githubapp

import (
	"crypto/rsa"
	"encoding/json"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	jwtLife = 2 * time.Minute // GitHub takes ten at most
	jwtSkew = time.Minute     // GitHub refuses one that its clock has not come to yet
)

// jwtClaims are those that GitHub asks for; times are whole seconds.
type jwtClaims struct {
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	Issuer    string `json:"iss"` // the App's ID
}

// signJWT makes the token by which the App proves to be itself.
func signJWT(appID int64, key *rsa.PrivateKey, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(jwtClaims{now.Add(-jwtSkew).Unix(), now.Add(jwtLife).Unix(), strconv.FormatInt(appID, 10)})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
