package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// An update that comes between the commit that moves an app's files, or takes them away,
// and the next look is written where they are now, or cancelled: it does not fail. One
// whose file is wrong fails all the same.
func TestFilesThatMoveBetweenTwoLooks(t *testing.T) {
	s := branchSite(t)
	s.edit("discover:\n", "discover:\n  - file: services/{env}/{app}/release.yaml\n  - {file: 'all/{env}.yaml', set: [{key: '.{app}.tag'}]}\n")
	files := valuesOf("cart", "dev")
	files["all/dev.yaml"] = "mail: {tag: main-0000000}\nnews: {tag: main-0000000}\n"
	s.commit(files)
	l := s.watch()
	s.commit(map[string]string{
		"services/dev/cart/release.yaml": "image: {tag: main-0000000}\n", "all/dev.yaml": "news: {tag: main-0000000}\n",
		gitserver.ValuesFile("api", "dev"): "image: none\n",
	}, gitserver.ValuesFile("cart", "dev"))
	l.reaches("1", "cart", "dev", "main-1a2b3c4")
	if text, err := s.repository.Git("show", "main:services/dev/cart/release.yaml"); err != nil || !strings.Contains(text, "main-1a2b3c4") {
		t.Errorf("the file says %q, %v", text, err)
	}
	s.commit(map[string]string{"all/dev.yaml": "mail: {tag: main-0000000}\n"})
	for _, c := range []struct { // in this order: the first failure has the branch looked at
		app  string
		want gitops.State
	}{{"news", gitops.Cancelled}, {"api", gitops.Failed}} {
		d := l.orders(c.app, c.app, "dev", "main-2a2b3c4").delivery(t, http.StatusAccepted)
		if u := l.settled(d.Updates[0].ID); u.State != c.want {
			t.Errorf("%s is %s: %s", c.app, u.State, u.Reason)
		}
	}
}
