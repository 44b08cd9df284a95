package githubtest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// Environment is a GitHub environment of a repository.
type Environment struct {
	Reviewers         []string // logins of users; none is no rule
	PreventSelfReview bool
	AdminsBypass      bool
}

// AddEnvironment gives a repository, owner/name, an environment.
func (s *Server) AddEnvironment(repository, name string, e Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.environments[repository] == nil {
		s.environments[repository] = make(map[string]Environment)
	}
	s.environments[repository][name] = e
}

// Granted are the permissions of a token that was given out.
func (s *Server) Granted(value string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[value].installation.permissions
}

// Reached are the repositories that a token which was given out reaches.
func (s *Server) Reached(value string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tokens[value].installation.repository))
}

// answerEnvironment answers who may look: GitHub asks for the permission Actions.
func (s *Server) answerEnvironment(w http.ResponseWriter, r *http.Request, holder *installation, repository, escaped string) {
	name, err := url.PathUnescape(escaped)
	_, reaches := holder.repository[repository]
	e, exists := s.environments[repository][name]
	switch {
	case err != nil || !reaches:
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return
	case holder.permissions["actions"] == "":
		s.refuse(w, r, http.StatusForbidden, "Resource not accessible by integration")
		return
	case !exists: // which a caller may well ask for
		answer(w, http.StatusNotFound, map[string]string{"message": "Not Found", "status": "404"})
		return
	}
	rules := []map[string]any{{"id": 1, "type": "branch_policy"}}
	if len(e.Reviewers) > 0 {
		var reviewers []map[string]any
		for _, login := range e.Reviewers {
			reviewers = append(reviewers, map[string]any{"type": "User", "reviewer": map[string]any{"login": login, "id": 1}})
		}
		rules = append(rules, map[string]any{"id": 2, "type": "required_reviewers", "prevent_self_review": e.PreventSelfReview, "reviewers": reviewers})
	}
	answer(w, http.StatusOK, map[string]any{"id": 1, "name": name, "can_admins_bypass": e.AdminsBypass, "protection_rules": rules})
}
