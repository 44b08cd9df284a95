package githubtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route finds what a call is for. The first part of each path says whose
// credential it takes.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("User-Agent") == "" {
		s.refuse(w, r, http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
		return
	}
	if !slices.ContainsFunc(r.Header.Values("Accept"), func(v string) bool {
		return strings.Contains(v, "json") || strings.Contains(v, "application/vnd.github.")
	}) {
		s.refuse(w, r, http.StatusNotAcceptable, "Must accept 'application/json'")
		return
	}
	parts, ok := s.pathOf(r)
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "Not Found: this GitHub has its API elsewhere")
		return
	}
	ofApp := parts[0] == "app" || len(parts) == 4 && parts[0] == "repos" && parts[3] == "installation"
	var holder *token
	if ofApp {
		if why := s.checkJWT(r.Header.Get("Authorization")); why != "" {
			s.refuse(w, r, http.StatusUnauthorized, "%s", why)
			return
		}
	} else {
		var ok bool
		if holder, ok = s.authenticate(w, r); !ok {
			return
		}
	}
	call := r.Method + " " + shape(parts)
	if holder != nil && (s.answerRepository(w, r, holder, call, parts) || s.answerSource(w, r, holder, parts)) {
		return
	}
	switch call {
	case "GET app":
		answer(w, http.StatusOK, map[string]any{"id": AppID, "slug": Slug, "client_id": ClientID, "name": "Acme Tallyman", "events": []string{"repository_dispatch"}})
	case "GET repos/_/_/installation":
		s.answerInstallation(w, r, s.installedOn(parts[1]+"/"+parts[2]))
	case "GET app/installations/_":
		s.answerInstallation(w, r, s.installations[number(parts[2])])
	case "POST app/installations/_/access_tokens":
		s.mint(w, r, s.installations[number(parts[2])])
	case "GET app/hook/deliveries":
		s.listDeliveries(w, r)
	case "GET app/hook/deliveries/_":
		s.getDelivery(w, r, number(parts[3]))
	case "POST app/hook/deliveries/_/attempts":
		s.redeliver(w, r, number(parts[3]))
	case "GET repos/_/_":
		name := parts[1] + "/" + parts[2]
		if id, ok := holder.installation.reaches(name); ok {
			form := map[string]any{"id": id, "full_name": name, "private": true, "permissions": map[string]bool{"push": holder.installation.permissions["contents"] == "write"}}
			s.addSettings(form, name, holder)
			answer(w, http.StatusOK, form)
			return
		}
		s.refuse(w, r, http.StatusNotFound, "Not Found")
	case "GET repos/_/_/environments/_":
		s.answerEnvironment(w, r, holder.installation, parts[1]+"/"+parts[2], parts[4])
	case "POST graphql":
		s.answerGraphQL(w, r, holder)
	case "GET users/_":
		if parts[1] == Slug+"%5Bbot%5D" {
			answer(w, http.StatusOK, map[string]any{"id": BotID, "login": Slug + "[bot]", "type": "Bot"})
			return
		}
		s.refuse(w, r, http.StatusNotFound, "Not Found")
	default:
		s.refuse(w, r, http.StatusNotFound, "Not Found: there is no %s", call)
	}
}

// Enterprise makes the server a GitHub Enterprise Server, which has the REST API below
// /api/v3 and GraphQL at /api/graphql, and nothing elsewhere.
func (s *Server) Enterprise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enterprise = true
}

// pathOf is the path below the API's root.
func (s *Server) pathOf(r *http.Request) ([]string, bool) {
	path := strings.Trim(r.URL.EscapedPath(), "/")
	if s.enterprise {
		below, ok := strings.CutPrefix(path, "api/")
		rest, isREST := strings.CutPrefix(below, "v3/")
		if !ok || !isREST && below != "graphql" {
			return nil, false
		}
		path = rest
	}
	return strings.Split(path, "/"), true
}

// shape is the path with what names one thing put out.
func shape(parts []string) string {
	below := []string{"installations", "deliveries", "users", "environments", "pulls", "issues", "branches"}
	named := slices.Clone(parts)
	for i := range parts {
		above := ""
		if i > 0 {
			above = parts[i-1]
		}
		if slices.Contains(below, above) && i > 0 || parts[0] == "repos" && (i == 1 || i == 2) {
			named[i] = "_"
		}
	}
	return strings.Join(named, "/")
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func (s *Server) installedOn(repository string) *installation {
	for _, i := range s.installations {
		if _, ok := i.reaches(repository); ok {
			return i
		}
	}
	return nil
}

func (s *Server) answerInstallation(w http.ResponseWriter, r *http.Request, i *installation) {
	if i == nil {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return
	}
	answer(w, http.StatusOK, map[string]any{"id": i.id, "app_id": AppID, "app_slug": Slug, "permissions": i.permissions, "repository_selection": "selected",
		"events": i.events, "html_url": "https://github.com/settings/installations/" + strconv.FormatInt(i.id, 10)})
}

// tokenLife is how long an installation's token works.
const tokenLife = time.Hour

func (s *Server) mint(w http.ResponseWriter, r *http.Request, i *installation) {
	var wants struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if r.ContentLength != 0 {
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&wants); err != nil {
			s.refuse(w, r, http.StatusBadRequest, "Problems parsing JSON: %v", err)
			return
		}
	}
	if i == nil {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return
	}
	granted := i.permissions
	if len(wants.Permissions) > 0 {
		granted = map[string]string{"metadata": "read"}
		for name, access := range wants.Permissions {
			if i.permissions[name] != access && i.permissions[name] != "write" {
				s.refuse(w, r, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
				return
			}
			granted[name] = access
		}
	}
	limited := &installation{id: i.id, repository: i.repository, permissions: granted}
	if len(wants.Repositories) > 0 {
		limited.repository = make(map[string]int64)
		for _, name := range wants.Repositories {
			found := false
			for full, id := range i.repository {
				if _, short, _ := strings.Cut(full, "/"); short == name {
					limited.repository[full], found = id, true
				}
			}
			if !found {
				s.refuse(w, r, http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
				return
			}
		}
	}
	value := "ghs_" + random(27)
	if s.newFormat {
		value = "ghs_" + strconv.Itoa(AppID) + "_" + random(30) + "." + random(240) + "." + random(110)
	}
	expires := s.now().Add(tokenLife).Truncate(time.Second)
	s.tokens[value] = &token{installation: limited, expires: expires, fresh: s.fresh}
	s.fresh, s.minted = nil, append(s.minted, value)
	answer(w, http.StatusCreated, map[string]any{"token": value, "expires_at": expires.UTC().Format(time.RFC3339), "permissions": granted})
}

// authenticate finds whose token a call carries. A call about a public user may
// have none.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*token, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t, ok := s.tokens[value]
	switch {
	case value == "" && strings.HasPrefix(r.URL.Path, "/users/"):
		return nil, true
	case !ok || scheme != "Bearer" && scheme != "token" || !s.now().Before(t.expires):
		s.refuse(w, r, http.StatusUnauthorized, "Bad credentials")
		return nil, false
	case len(t.fresh) > 0:
		status := t.fresh[0]
		t.fresh = t.fresh[1:]
		answer(w, status, map[string]string{"message": http.StatusText(status)})
		return nil, false
	}
	return t, true
}

func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}
