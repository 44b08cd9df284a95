package branchtags

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/api"
)

// The tag of an app is that of its first file. What another file has is said only where it
// is another tag, whichever of the two was read last, and what was told before stays.
func TestFilesThatDoNotAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &branch{files: map[string]string{
			"values.yaml": "tag: v1\n", "chart.yaml": "appVersion: v1\n", "shared.yaml": "shop: {tag: v1}\ncart: {tag: v1}\n", "pin.yaml": "digest: none\n",
		}}
		c := New([]Target{
			{Environment: "dev", App: "shop", Files: []File{
				{"values.yaml", edit(t, ".tag", "")}, {"chart.yaml", edit(t, ".appVersion", "")},
				{"shared.yaml", edit(t, ".shop.tag", "")}, {"pin.yaml", edit(t, ".digest", "{digest}")}, // which has no tag to read
			}},
			{Environment: "dev", App: "cart", Files: []File{{"shared.yaml", edit(t, ".cart.tag", "")}}},
		}, b.view, 3*time.Second, b)
		look := func(what, tag string, differs ...api.AppFile) api.App {
			t.Helper()
			time.Sleep(3 * time.Second)
			shop := c.BranchTags(t.Context(), time.Time{}).Apps["dev"][1]
			if diff := cmp.Diff(api.App{App: "shop", File: "values.yaml", Tag: tag, Differs: differs}, shop); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			return shop
		}
		look("all agree", "v1")
		b.push(map[string]string{"values.yaml": "tag: v2\n"})
		old := look("the first was changed", "v2", api.AppFile{File: "chart.yaml", Tag: "v1"}, api.AppFile{File: "shared.yaml", Tag: "v1"})
		b.push(map[string]string{"chart.yaml": "appVersion: v2\n"})
		look("one has followed", "v2", api.AppFile{File: "shared.yaml", Tag: "v1"})
		b.push(map[string]string{"shared.yaml": "shop: {tag: v2}\ncart: {tag: v3}\n"})
		look("all agree again", "v2")
		b.push(map[string]string{"chart.yaml": "version: v2\n"})
		if shop := c.BranchTags(t.Context(), time.Now()).Apps["dev"][1]; len(shop.Differs) != 1 || shop.Differs[0].Tag != "" || shop.Differs[0].Problem == "" {
			t.Errorf("a file without its key: %+v", shop)
		}
		b.push(map[string]string{"chart.yaml": "appVersion: v2\n"})
		delete(b.files, "shared.yaml")
		look("a file is gone", "v2", api.AppFile{File: "shared.yaml", Problem: "the branch has no file shared.yaml"})
		if diff := cmp.Diff([]api.AppFile{{File: "chart.yaml", Tag: "v1"}, {File: "shared.yaml", Tag: "v1"}}, old.Differs); diff != "" {
			t.Errorf("what was told before has changed: %s", diff)
		}
	})
}
