package argocdtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// account is what a token may do.
type account struct {
	name    string
	get     []string // projects
	sync    bool     // in these projects, too
	expires time.Time
	revoked bool
}

// Token makes a token that may get the Applications of projects and never expires.
func (s *Server) Token(projects ...string) string {
	return s.TokenUntil(time.Time{}, projects...)
}

// TokenUntil makes a token that expires.
func (s *Server) TokenUntil(expires time.Time, projects ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.minted++
	claims := map[string]any{"iss": "argocd", "sub": "tallyman:apiKey", "jti": fmt.Sprintf("tallyman-%d", s.minted)}
	if !expires.IsZero() {
		claims["exp"] = expires.Unix()
	}
	body, _ := json.Marshal(claims) // strings and numbers can always be encoded
	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(body) + "." + part(fmt.Appendf(nil, "signature of test token %04d....", s.minted))
	s.accounts[token] = &account{name: "tallyman", get: projects, expires: expires}
	for _, p := range projects {
		s.projects[p] = append(s.projects[p], Namespace)
	}
	return token
}

// Revoke has a token be rejected from now on.
func (s *Server) Revoke(token string) { s.change(token, func(a *account) { a.revoked = true }) }

// MaySync gives a token more than it should have.
func (s *Server) MaySync(token string) { s.change(token, func(a *account) { a.sync = true }) }

// MayGet changes the projects that a token may get in.
func (s *Server) MayGet(token string, projects ...string) {
	s.change(token, func(a *account) { a.get = projects })
}

func (s *Server) change(token string, how func(*account)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(s.accounts[token])
}

// authenticate finds the account of a request, or says as Argo CD does why there is none.
// The lock is held.
func (s *Server) authenticate(r *http.Request) (*account, string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a := s.accounts[token]
	switch {
	case !ok || strings.Count(token, ".") != 2:
		return nil, "no session information"
	case a == nil:
		return nil, "invalid session: SSO is not configured"
	case a.revoked:
		return nil, "invalid session: account tallyman does not have token with id gone"
	case !a.expires.IsZero() && !s.now().Before(a.expires):
		return nil, "invalid session: token has invalid claims: token is expired"
	}
	return a, ""
}

func (a *account) mayGet(project string) bool { return slices.Contains(a.get, project) }
