package argocdtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// params are the parameters of each path below an Application's.
var params = map[string][]string{
	"":                  {"project", "appNamespace", "refresh"},
	"resource-tree":     {"project", "appNamespace", "namespace", "name", "version", "group", "kind"},
	"managed-resources": {"project", "appNamespace", "namespace", "name", "version", "group", "kind"},
	"resource":          {"project", "appNamespace", "namespace", "resourceName", "version", "group", "kind"},
	"syncwindows":       {"project", "appNamespace"},
}

// required are those without which the call is a mistake, here or on the real one.
var required = map[string][]string{
	"":                  {"project"},
	"resource-tree":     {"project"},
	"managed-resources": {"project"},
	"resource":          {"project", "namespace", "resourceName", "version", "kind"},
	"syncwindows":       {"project"},
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refresh := s.counts.begin(r, s.now())
	fault := s.faultFor(r)
	s.mu.Unlock()
	if refresh {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.counts.refreshing--
		}()
	}
	if fault != nil && s.happens(fault, w, r) {
		return
	}
	s.serve(w, r)
}

// serve answers a request that no fault happens to.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v1/")
	if !ok || r.Method != http.MethodGet {
		s.wrong(w, r, http.StatusForbidden, "a get-only account makes no such call")
		return
	}
	s.mu.Lock()
	who, why := s.authenticate(r)
	s.mu.Unlock()
	parts := strings.Split(rest, "/")
	switch {
	case rest == "session/userinfo":
		info := map[string]any{}
		if who != nil {
			info = map[string]any{"loggedIn": true, "username": who.name, "iss": "argocd"}
		}
		answer(w, info)
	case who == nil:
		refuse(w, http.StatusUnauthorized, why)
	case len(parts) == 6 && strings.HasPrefix(rest, "account/can-i/applications/") && parts[5] == "*":
		value := "no"
		if who.mayGet(parts[4]) && (parts[3] == "get" || who.sync) {
			value = "yes"
		}
		answer(w, map[string]any{"value": value})
	case rest == "applications":
		s.list(w, r, who)
	case parts[0] == "applications" && len(parts) <= 3:
		s.one(w, r, who, parts[1], strings.Join(parts[2:], "/"))
	default:
		s.wrong(w, r, http.StatusNotFound, "there is no such path")
	}
}

// one answers about one Application.
func (s *Server) one(w http.ResponseWriter, r *http.Request, who *account, name, below string) {
	known, ok := params[below]
	if !ok || strings.Contains(name, "%") {
		s.wrong(w, r, http.StatusNotFound, "there is no such path")
		return
	}
	query := make(map[string]string)
	for param, values := range r.URL.Query() {
		if !slices.Contains(known, param) || len(values) != 1 {
			s.wrong(w, r, http.StatusBadRequest, "there is no parameter "+param+" here, or it is there twice")
			return
		}
		query[param] = values[0]
	}
	for _, param := range required[below] {
		if query[param] == "" {
			s.wrong(w, r, http.StatusForbidden, "the parameter "+param+" is missing")
			return
		}
	}
	if refresh, ok := query["refresh"]; ok && refresh != "normal" {
		s.wrong(w, r, http.StatusBadRequest, "refresh="+refresh+" is not for tallyman: it renders everything again")
		return
	}
	k := key{cmp.Or(query["appNamespace"], Namespace), name}
	if s.refused(w, who, k, query["project"]) {
		return
	}
	if query["refresh"] != "" && !s.compared(r, k) {
		return // the client gave up
	}
	s.give(w, k, below, query)
}

// refused answers what the account may not see, or what is not there.
func (s *Server) refused(w http.ResponseWriter, who *account, k key, project string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	app := s.applications[k]
	switch {
	case !who.mayGet(project) || !slices.Contains(s.namespaces, k.namespace):
		refuse(w, http.StatusForbidden, "permission denied")
	case app == nil || app.project() != project:
		refuse(w, http.StatusNotFound, `applications.argoproj.io "`+k.name+`" not found`)
	case !slices.Contains(s.projects[project], k.namespace):
		refuse(w, http.StatusBadRequest, `app is not allowed in project "`+project+`", or the project does not exist`)
	default:
		return false
	}
	return true
}

// compared waits until a refresh is over. It is false when the client gave up.
func (s *Server) compared(r *http.Request, k key) bool {
	s.mu.Lock()
	controller := s.controller
	s.mu.Unlock()
	select {
	case <-controller:
	case <-r.Context().Done():
		return false // the annotation stays, and is looked at when the controller runs again
	}
	s.mu.Lock()
	var done <-chan struct{}
	if app := s.applications[k]; app != nil {
		done = app.comparing()
	}
	s.mu.Unlock()
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	case <-r.Context().Done():
		return false
	}
}

// give answers with what the Application has.
func (s *Server) give(w http.ResponseWriter, k key, below string, query map[string]string) {
	s.mu.Lock()
	status, body := http.StatusNotFound, any(nil)
	if app := s.applications[k]; app != nil {
		status, body = app.answer(below, query)
	}
	s.mu.Unlock()
	switch {
	case status == http.StatusOK:
		answer(w, body)
	case body != nil:
		write(w, status, body)
	default:
		refuse(w, status, `applications.argoproj.io "`+k.name+`" not found`)
	}
}

// wrong fails the test, and refuses.
func (s *Server) wrong(w http.ResponseWriter, r *http.Request, status int, why string) {
	s.t.Helper()
	s.t.Errorf("argocdtest: %s %s: %s", r.Method, r.URL.RequestURI(), why)
	if status == http.StatusNotFound {
		http.Error(w, "Not Found", status) // the gateway has no such path, and says so in text
		return
	}
	refuse(w, status, why)
}

// codes are gRPC's, by the status that they become.
var codes = map[int]int{
	http.StatusBadRequest: 3, http.StatusUnauthorized: 16, http.StatusForbidden: 7, http.StatusNotFound: 5,
	http.StatusTooManyRequests: 8, http.StatusInternalServerError: 13, http.StatusServiceUnavailable: 14, http.StatusGatewayTimeout: 4,
}

// refuse answers as Argo CD's gateway to gRPC does.
func refuse(w http.ResponseWriter, status int, message string) {
	write(w, status, map[string]any{"error": message, "code": cmp.Or(codes[status], 2), "message": message})
}

func answer(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs none
}
