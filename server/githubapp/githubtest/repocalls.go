package githubtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// apiVersion is the one that tallyman asks for. A later one has no merge_commit_sha.
const apiVersion = "2022-11-28"

// answerRepository answers a call about pull requests or branches, and reports whether it
// was one.
func (s *Server) answerRepository(w http.ResponseWriter, r *http.Request, holder *token, shaped string, parts []string) bool {
	known, ok := calls[shaped]
	if !ok {
		return false
	}
	name := parts[1] + "/" + parts[2]
	repository := s.served[strings.ToLower(name)]
	_, reaches := holder.installation.reaches(name)
	if repository == nil || !reaches {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return true
	}
	if version := r.Header.Get("X-GitHub-Api-Version"); version != apiVersion {
		s.refuse(w, r, http.StatusBadRequest, "the version %q of the API is not the one that tallyman knows", version)
		return true
	}
	if !s.admit(w, r, holder, known.needs) {
		return true
	}
	repository.refresh()
	known.answer(&call{Repository: repository, w: w, r: r, holder: holder, parts: parts})
	repository.refresh()
	return true
}

// admit holds a call to the installation's permissions and to GitHub's limits.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, holder *token, needs []string) bool {
	may := func(need string) bool {
		permission, access, _ := strings.Cut(need, "=")
		has := holder.installation.permissions[permission]
		return has == "write" || has == access
	}
	if !slices.ContainsFunc(needs, may) {
		w.Header().Set("X-Accepted-GitHub-Permissions", strings.Join(needs, "; "))
		s.refuse(w, r, http.StatusForbidden, "Resource not accessible by integration")
		return false
	}
	return s.withinLimits(w, r)
}

// decode reads the body. A field that is not read is a mistake of the caller's.
func (c *call) decode(into any) bool {
	decoder := json.NewDecoder(c.r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil || c.r.Header.Get("Content-Type") != "application/json" {
		c.refuse(http.StatusBadRequest, "Problems parsing JSON: %v", err)
		return false
	}
	return true
}

// parameters are those of the query, of which only some are known.
func (c *call) parameters(known ...string) (url.Values, bool) {
	query := c.r.URL.Query()
	for name := range query {
		if !slices.Contains(known, name) {
			c.refuse(http.StatusUnprocessableEntity, "there is no parameter %s", name)
			return nil, false
		}
	}
	return query, true
}

// page answers with a part of a list, with its ETag, and with nothing where the caller has it.
func (c *call) page(list []any, query url.Values) {
	size, at, ok := pageSize(query.Get("per_page"), query.Get("page"))
	if !ok {
		c.refuse(http.StatusUnprocessableEntity, "page %q of %q", query.Get("page"), query.Get("per_page"))
		return
	}
	from, to := min((at-1)*size, len(list)), min(at*size, len(list))
	if to < len(list) {
		query.Set("page", fmt.Sprint(at+1))
		c.w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next", <%s%s?%s>; rel="last"`, c.server.URL, c.r.URL.Path, query.Encode(), c.server.URL, c.r.URL.Path, query.Encode()))
	}
	body, err := json.Marshal(append([]any{}, list[from:to]...))
	c.check(err)
	// Each token has tags of its own.
	etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(append(body, c.r.Header.Get("Authorization")...)))
	c.w.Header().Set("ETag", etag)
	if c.r.Header.Get("If-None-Match") == etag {
		c.server.limits.used-- // which costs nothing
		c.w.Header().Del("Link")
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = c.w.Write(body)
}

func (c *call) listRules() {
	branch, err := url.PathUnescape(c.parts[5])
	query, ok := c.parameters("per_page", "page")
	if err != nil || !ok {
		return
	}
	var list []any
	for _, rule := range c.ruled(branch) {
		form := map[string]any{"type": rule.Type, "ruleset_source_type": "Repository", "ruleset_source": c.name, "ruleset_id": 42}
		if rule.Parameters != nil {
			form["parameters"] = rule.Parameters
		}
		list = append(list, form)
	}
	c.page(list, query)
}

func (c *call) getBranch() {
	branch, err := url.PathUnescape(c.parts[4])
	commit, ok := c.refs[branch]
	if err != nil || !ok {
		c.refuse(http.StatusNotFound, "Branch not found")
		return
	}
	classic := c.classic != nil && branch == "main"
	protection := map[string]any{"enabled": classic, "required_status_checks": map[string]any{"enforcement_level": "off", "contexts": []string{}, "checks": []any{}}}
	answer(c.w, http.StatusOK, map[string]any{
		"name": branch, "commit": map[string]any{"sha": commit}, "protected": classic || len(c.ruled(branch)) > 0, "protection": protection,
	})
}

// HideSettings makes repositories answer without their settings, as they do to some tokens.
func (s *Server) HideSettings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = true
}

// IgnoreHead makes lists of pull requests have all, whatever head they are asked by.
func (s *Server) IgnoreHead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ignoresHead = true
}

// addSettings adds what a repository shows only to who may write it.
func (s *Server) addSettings(form map[string]any, name string, holder *token) {
	r := s.served[strings.ToLower(name)]
	if r == nil || s.hidden || holder.installation.permissions["contents"] != "write" {
		return
	}
	form["allow_auto_merge"], form["allow_merge_commit"] = r.settings.AllowAutoMerge, r.settings.AllowMergeCommit
	form["allow_squash_merge"], form["allow_rebase_merge"] = r.settings.AllowSquashMerge, r.settings.AllowRebaseMerge
	form["squash_merge_commit_title"], form["squash_merge_commit_message"] = r.settings.SquashTitle, r.settings.SquashMessage
}
