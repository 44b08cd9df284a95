package githubtest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// longestJWT is how far ahead exp may be.
const longestJWT = 10 * time.Minute

// checkJWT says what GitHub would find wrong with an App's JWT.
func (s *Server) checkJWT(authorization string) string {
	raw, ok := strings.CutPrefix(authorization, "Bearer ")
	parts := strings.Split(raw, ".")
	if !ok || len(parts) != 3 {
		return "A JSON web token could not be decoded"
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	// GitHub takes whole seconds only, which is what an int64 takes.
	var claims struct {
		IssuedAt  int64           `json:"iat"`
		ExpiresAt int64           `json:"exp"`
		Issuer    json.RawMessage `json:"iss"`
	}
	if decodePart(parts[0], &header) != nil || decodePart(parts[1], &claims) != nil || header.Algorithm != "RS256" {
		return "A JSON web token could not be decoded"
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return "A JSON web token could not be decoded"
	}
	now := time.Now()
	issued, expires := time.Unix(claims.IssuedAt, 0), time.Unix(claims.ExpiresAt, 0)
	switch issuer := strings.Trim(string(claims.Issuer), `"`); {
	case issuer != strconv.Itoa(AppID) && issuer != ClientID:
		return "'Issuer' claim ('iss') must be the App's client ID or ID"
	case claims.IssuedAt == 0 || issued.After(now):
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case !expires.After(now):
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case expires.Sub(now) > longestJWT:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
