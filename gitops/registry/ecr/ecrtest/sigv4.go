package ecrtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// key is an access key, and who calls with it. A call has a copy with the region that
// it was signed for.
type key struct {
	id, secret, session string // session is "" for a user's own key
	account, principal  string
	region              string
}

func newKey(prefix string) *key {
	return &key{id: prefix + rand.Text()[:16], secret: rand.Text(), account: "123456789012"}
}

// verify checks a call's signature (AWS Signature Version 4, "Create a signed AWS API request"): its
// key is one that was given out, and it signs this body for a region where there is a registry.
func (s *Server) verify(r *http.Request, body []byte) (*key, *refusal) {
	fields := make(map[string]string)
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, field := range strings.Split(rest, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 || scope[3] != "ecr" || scope[4] != "aws4_request" {
		s.t.Errorf("ecrtest: not signed for ecr: Authorization %q", r.Header.Get("Authorization"))
		return nil, &refusal{400, "MissingAuthenticationTokenException", ""}
	}
	s.mu.Lock()
	known := s.keys[scope[0]]
	hasRegion := slices.ContainsFunc(s.places(), func(p place) bool { return p.region == scope[2] })
	s.mu.Unlock()
	if known == nil || known.session != r.Header.Get("X-Amz-Security-Token") {
		return nil, &refusal{400, string(Unknown), "The security token included in the request is invalid."}
	}
	if !hasRegion {
		s.t.Errorf("ecrtest: signed for region %s, where there is no registry", scope[2])
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	signedNames := strings.Split(fields["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signedNames, must) {
			s.t.Errorf("ecrtest: header %s is not signed", must)
		}
	}
	if known.session != "" && !slices.Contains(signedNames, "x-amz-security-token") {
		s.t.Error("ecrtest: the session's token is not signed")
	}
	want := known.sign(r, body, signedNames, at, scope)
	if err != nil || time.Since(at).Abs() > 5*time.Minute || subtle.ConstantTimeCompare([]byte(want), []byte(fields["Signature"])) != 1 {
		s.t.Errorf("ecrtest: the signature is not the call's: date %s, Authorization %q", r.Header.Get("X-Amz-Date"), r.Header.Get("Authorization"))
		return nil, &refusal{400, "InvalidSignatureException", ""}
	}
	caller := *known
	caller.region = scope[2]
	return &caller, nil
}

// places are where registries are. The caller holds the lock.
func (s *Server) places() (all []place) {
	for at := range s.registries {
		all = append(all, at)
	}
	return all
}

func (k *key) sign(r *http.Request, body []byte, names []string, at time.Time, scope []string) string {
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), strings.Join(names, ";"), hexSum(body)}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", at.Format("20060102T150405Z"), strings.Join(scope[1:], "/"), hexSum([]byte(canonical))}, "\n")
	derived := []byte("AWS4" + k.secret)
	for _, part := range scope[1:] {
		derived = mac(derived, part)
	}
	return hex.EncodeToString(mac(derived, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
