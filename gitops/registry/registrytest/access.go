package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// access is what the front demands of whoever reads.
type access struct {
	scheme    string // Basic or Bearer; "" admits everybody
	users     map[string]string
	anonymous bool            // gets a token, too
	refresh   string          // an identity token that gets one; "" for none
	realm     string          // of another token server; "" is the front's own
	tokens    map[string]bool // that were given; false is expired
	expiredAs int             // the status of one that expired
}

// RequireBasic admits the users with their passwords by Basic authentication, as ECR does.
func (s *Server) RequireBasic(users map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = access{scheme: "Basic", users: users, expiredAs: http.StatusUnauthorized}
}

// RequireToken admits whoever has a token, which the users get; with nil everybody does.
func (s *Server) RequireToken(users map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = access{scheme: "Bearer", users: users, anonymous: users == nil, tokens: make(map[string]bool), expiredAs: http.StatusUnauthorized}
}

// RequireIdentityToken admits whoever has a token, which the identity token gets.
func (s *Server) RequireIdentityToken(identity string) {
	s.RequireToken(map[string]string{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access.refresh = identity
}

// Realm names another token server in challenges.
func (s *Server) Realm(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access.realm = url
}

// Expire has all tokens, or the passwords but for those of users, rejected with the status:
// 401 has a challenge, 403 and 400 have none.
func (s *Server) Expire(as int, users map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access.expiredAs = as
	for token := range s.access.tokens {
		s.access.tokens[token] = false
	}
	if users != nil {
		s.access.users = users
	}
}

// admit answers a request that has not what is demanded.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, request Request) bool {
	s.mu.Lock()
	a := s.access
	good, known := a.tokens[bearerOf(r)]
	s.mu.Unlock()
	switch {
	case a.scheme == "", good, a.scheme == "Basic" && a.isUser(r):
		return true
	case r.Header.Get("Authorization") != "" && (known || a.scheme == "Basic") && a.expiredAs != http.StatusUnauthorized:
		w.WriteHeader(a.expiredAs)
	case a.scheme == "Basic":
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		realm := a.realm
		if realm == "" {
			realm = s.http.URL + "/token"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="registry",scope="repository:%s:pull"`, realm, request.Repository))
		w.WriteHeader(http.StatusUnauthorized)
	}
	return false
}

func bearerOf(r *http.Request) string {
	token := r.Header.Get("Authorization")
	if len(token) < len("Bearer ") {
		return ""
	}
	return token[len("Bearer "):]
}

func (a access) isUser(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	want, known := a.users[user]
	return ok && known && password == want
}

// giveToken is the token server (distribution, "Token Authentication Specification"; the POST
// is "OAuth2 Token Authentication").
func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a := s.access
	s.mu.Unlock()
	_, _, asUser := r.BasicAuth()
	refreshes := r.Method == http.MethodPost && a.refresh != "" && r.FormValue("refresh_token") == a.refresh
	if !a.isUser(r) && !refreshes && (!a.anonymous || asUser) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	token := fmt.Sprintf("token-%d", len(a.tokens)+1)
	a.tokens[token] = true
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "access_token": token})
}
