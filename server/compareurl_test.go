package server

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// A pull request links to the changes of the app: between commits where tags or the sender name
// them, else between the tags.
func TestCompareURL(t *testing.T) {
	app, err := githubapp.New(githubapp.Config{
		AppID: githubtest.AppID, InstallationID: 1, PrivateKeyFile: githubtest.New(t).KeyFile(), RepositoryURL: "https://github.example/shop/manifests.git",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	api := &catalog.Target{Source: "shop/api"}
	const compare = "https://github.example/shop/api/compare/"
	for name, c := range map[string]struct {
		target *catalog.Target
		from   string
		update gitops.Update
		want   string
	}{
		"releases":             {api, "1.0.0", gitops.Update{Tag: "1.1.0"}, compare + "1.0.0...1.1.0"},
		"commits in the tags":  {api, "main-1a2b3c4", gitops.Update{Tag: "sha-2a2b3c4"}, compare + "1a2b3c4...2a2b3c4"},
		"the sender's commit":  {api, "1.0.0", gitops.Update{Tag: "main-2a2b3c4", Revision: revision}, compare + "1.0.0..." + revision},
		"no commit in the tag": {api, "main-1a2b3c", gitops.Update{Tag: "main-1a2b3cx"}, compare + "main-1a2b3c...main-1a2b3cx"},
		"the same tag":         {api, "1.1.0", gitops.Update{Tag: "1.1.0", Revision: revision}, ""},
		"no tag before":        {api, "", gitops.Update{Tag: "1.1.0"}, ""},
		"no source":            {&catalog.Target{}, "1.0.0", gitops.Update{Tag: "1.1.0"}, ""},
		"an app that has gone": {nil, "1.0.0", gitops.Update{Tag: "1.1.0"}, ""},
	} {
		if got := compareURL(app, c.target, c.from, c.update); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
