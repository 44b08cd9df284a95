package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func (o *office) Suspects(context.Context) ([]gitops.Suspect, error) { return o.suspects, nil }

func (o *office) ClearSuspect(_ context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error) {
	o.cleared = append(o.cleared, by)
	return gitops.Suspect{}, nil
}

// Who may retry the updates of every app that is set in a file may clear it, and who may
// not even read one of them does not see it. What may end the process for all needs all.
func TestWhoMayClearWhatIsSetAside(t *testing.T) {
	suspect := func(object, path string, kind gitops.ParsedKind, deaths int) gitops.Suspect {
		return gitops.Suspect{ParsedObject: gitops.ParsedObject{Object: object, Kind: kind, Path: path}, Deaths: deaths}
	}
	o := &office{caller: Caller{Principal: gitops.Principal{Token: "ops"}, Credential: "token ops"}, suspects: []gitops.Suspect{
		suspect("dev", "dev.yaml", gitops.ParsedFile, 2), suspect("both", "both.yaml", gitops.ParsedFile, 2), suspect("prod", "prod.yaml", gitops.ParsedFile, 2),
		suspect("pack", "main", gitops.ParsedPack, 2), suspect("gone", "gone.yaml", gitops.ParsedFile, 2), suspect("once", "dev.yaml", gitops.ParsedFile, 1),
	}}
	files := map[string][]queue.Area{
		"dev.yaml": {{Environment: "dev", App: "api"}}, "prod.yaml": {{Environment: "prod", App: "api"}},
		"both.yaml": {{Environment: "dev", App: "api"}, {Environment: "prod", App: "api"}}, "": {{Environment: "dev", App: "api"}, {Environment: "prod", App: "api"}},
	}
	rights := []gitops.Right{gitops.RightRead, gitops.RightRetry}
	for _, c := range []struct {
		environments []string
		want         map[string]gitops.Code // by object
	}{
		{[]string{"dev"}, map[string]gitops.Code{"dev": "", "both": gitops.Forbidden, "prod": gitops.NotFound, "pack": gitops.Forbidden, "gone": gitops.NotFound, "once": gitops.NotFound, "none": gitops.NotFound}},
		{[]string{"*"}, map[string]gitops.Code{"dev": "", "both": "", "prod": "", "pack": "", "gone": "", "once": gitops.NotFound}},
	} {
		list, err := access.New(access.Config{
			Rules: []access.Rule{{Who: access.Who{Token: "ops"}, May: rights, Apps: []string{"*"}, Environments: c.environments}},
			Apps:  map[string][]string{"api": nil}, Environments: []string{"dev", "prod"}, Tokens: []string{"ops"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for object, want := range c.want {
			o.cleared = nil
			a := New(Config{Store: o, Intake: o, Manifests: o, Access: list, Authenticators: []Authenticator{o}, Logger: slog.New(slog.DiscardHandler), Hash: "hash", Refused: o.record,
				Targets: func(file string) []queue.Area { return files[file] }})
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"reason": "more memory"}`))
			req.Header.Set("Authorization", "Bearer x")
			req.SetPathValue("object", object)
			_, _, err := a.allow(gitops.RightRetry, a.clear)(deadlines{httptest.NewRecorder()}, req)
			switch {
			case (err == nil) != (want == "") || err != nil && gitops.CodeOf(err) != want:
				t.Errorf("in %v, %s: %v, want %q", c.environments, object, err, want)
			case (len(o.cleared) == 1) != (want == ""):
				t.Errorf("in %v, %s: cleared %d times", c.environments, object, len(o.cleared))
			case want == "" && (o.cleared[0].Reason != "more memory" || o.cleared[0].Actor != "token:ops" || o.cleared[0].Rule == "" || o.cleared[0].Config != "hash"):
				t.Errorf("%s: the audit has %+v", object, o.cleared[0])
			}
		}
	}
}
