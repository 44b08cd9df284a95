package api

import (
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// known is a list of apps behind the API.
func known(rows ...KnownApp) func(after string) (iter.Seq[KnownApp], bool) {
	return func(after string) (iter.Seq[KnownApp], bool) {
		return func(yield func(KnownApp) bool) {
			for _, row := range rows {
				if row.Key() > after && !yield(row) {
					return
				}
			}
		}, false
	}
}

// A caller sees the apps and environments that it may read, and of problems those of its
// apps; a file that names none is for who may read everything. Pages follow one another.
func TestAppsAreScopedAndPaged(t *testing.T) {
	rows := []KnownApp{
		{Problem: "a file that names nothing", Files: []string{"x.yaml"}, Origin: OriginBranch},
		{App: "api", Problem: "in every environment", Files: []string{"api.yaml"}, Origin: OriginBranch},
		{App: "api", Environment: "dev", Files: []string{"dev.yaml"}, Origin: OriginConfigured},
		{App: "api", Environment: "prod", Files: []string{"prod.yaml"}, Origin: "discover[0]"},
		{App: "web", Environment: "dev", Files: []string{"web.yaml"}, Origin: "discover[0]"},
	}
	for name, c := range map[string]struct {
		apps, environments []string
		query              string
		want               string
	}{
		"everything":       {nil, nil, "", " / api/ api/dev api/prod web/dev"},
		"one app in dev":   {[]string{"api"}, []string{"dev"}, "", " api/ api/dev"},
		"another app":      {[]string{"web"}, nil, "", " web/dev"},
		"only problems":    {nil, nil, "problems=true", " / api/"},
		"without problems": {nil, nil, "problems=false&environment=dev", " api/dev web/dev"},
	} {
		t.Run(name, func(t *testing.T) {
			o := pendingOffice()
			o.rule = access.Rule{Who: access.Who{Token: "ops"}, May: []gitops.Right{gitops.RightRead}, Apps: c.apps, Environments: c.environments}
			a := New(Config{Store: o, Manifests: o, Access: o.list(t), Authenticators: []Authenticator{o}, Known: known(rows...)})
			got, next := "", ""
			for pages := 0; pages == 0 || next != ""; pages++ {
				req := httptest.NewRequest(http.MethodGet, "/api/v1/apps?limit=1&cursor="+url.QueryEscape(next)+"&"+c.query, nil)
				req.Header.Set("Authorization", "Bearer x")
				_, answer, err := a.allow(gitops.RightRead, a.apps)(nil, req)
				if err != nil {
					t.Fatal(err)
				}
				list := answer.(KnownAppList)
				if list.Complete || len(list.Apps) > 1 {
					t.Fatalf("%+v", list)
				}
				for _, row := range list.Apps {
					got += " " + row.App + "/" + row.Environment
				}
				next = list.Next
			}
			if got != c.want {
				t.Errorf("it sees%s, want%s", got, c.want)
			}
		})
	}
	if !slices.IsSortedFunc(rows, func(a, b KnownApp) int { return strings.Compare(a.Key(), b.Key()) }) {
		t.Error("the rows are not sorted")
	}
}
