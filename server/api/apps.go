package api

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// KnownApp is an app in an environment that is known, or what is wrong with one that is
// not.
type KnownApp struct {
	App         string   `json:"app,omitempty"`         // not there for what is wrong with a file that should name one
	Environment string   `json:"environment,omitempty"` // not there for what is wrong in every environment
	Manifests   string   `json:"manifests"`             // the name of the manifest repository
	Files       []string `json:"files"`                 // that updates change, the one with the app's tag first; or those at fault
	Image       string   `json:"image,omitempty"`       // without tag; not there when only orders name the app
	Origin      string   `json:"origin"`                // "configured", "discover[0]", or the path of the app's own file
	Problem     string   `json:"problem,omitempty"`     // why updates of the app are not written
}

// Origins of an app besides the entries of discover.
const (
	OriginConfigured = "configured"
	OriginBranch     = "branch" // of a problem
)

// KnownAppList is a page of apps.
type KnownAppList struct {
	Apps     []KnownApp `json:"apps"`
	Complete bool       `json:"complete"`       // whether every branch that names apps was looked at: until then there may be more
	Next     string     `json:"next,omitempty"` // the cursor of the next page
}

// Key orders apps: by name, environment, and then what is wrong.
func (a KnownApp) Key() string {
	return strings.Join([]string{a.App, a.Environment, a.Problem, a.Manifests, strings.Join(a.Files, " ")}, "\x00")
}

// apps lists what is known, as far as the caller has the right to read it. What is wrong
// with a file that names no app is for who may read everything.
func (a *API) apps(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	app, environment, manifests := q.text("app"), q.text("environment"), q.text("manifests")
	problems := oneOf(q, "problems", []string{"true", "false"})
	page := q.page()
	after, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil {
		q.fail(gitops.FieldErrorf("cursor", "is invalid"))
	}
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	v := a.viewOf(callerOf(r))
	known, complete := a.Known(string(after))
	answer := KnownAppList{Apps: []KnownApp{}, Complete: complete}
	last := ""
	for row := range known {
		switch {
		case !v.knownApp(row):
		case app != "" && row.App != app, environment != "" && row.Environment != environment, manifests != "" && row.Manifests != manifests:
		case problems != "" && (problems == "true") != (row.Problem != ""):
		case len(answer.Apps) == page.Limit:
			answer.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			return http.StatusOK, answer, nil
		default:
			last = row.Key()
			answer.Apps = append(answer.Apps, row)
		}
	}
	return http.StatusOK, answer, nil
}

// knownApp reports whether the caller may read a row. What is wrong in every environment is
// for who may read the app in one of them.
func (v view) knownApp(row KnownApp) bool {
	switch {
	case v.scope.All():
		return true
	case row.App == "":
		return false
	case row.Environment == "":
		for _, area := range v.scope.Areas() {
			if area.App == "" || area.App == row.App {
				return true
			}
		}
		return false
	}
	return v.scope.Allows(row.App, row.Environment)
}
