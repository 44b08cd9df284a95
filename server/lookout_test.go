package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// branchSite is a site whose apps are on the branch alone.
func branchSite(t *testing.T) *site {
	s := newSite(t)
	_, apps, _ := strings.Cut(s.yaml, "apps:\n")
	s.edit("apps:\n"+apps, `discover:
  - file: charts/{app}/values-{env}.yaml
    exclude: [charts/_*/**]
    repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/{app}
`)
	return s
}

// lookout is a running server whose looks are made when the test wants them.
type lookout struct {
	*running
	site   *site
	looked chan string // the commit of each look that has ended
}

// watch starts the site's server, and has the branch looked at once.
func (s *site) watch() *lookout {
	s.t.Helper()
	l := s.watchBefore()
	l.wait()
	return l
}

// watchBefore starts the site's server, and returns while the first look is under way.
func (s *site) watchBefore() *lookout {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	l := &lookout{site: s, looked: make(chan string)}
	server.finder.every, server.finder.between = 24*time.Hour, 0
	server.finder.looked = func(commit string) {
		select {
		case l.looked <- commit:
		case <-s.t.Context().Done(): // the test is over
		}
	}
	l.running = s.run(server)
	return l
}

// look has the branch looked at, and waits until its tip was.
func (l *lookout) look() {
	l.t.Helper()
	tip, err := l.site.repository.Git("rev-parse", "main")
	l.site.must(err)
	l.finder.ask()
	for l.wait() != tip {
	}
}

// wait waits until a look has ended.
func (l *lookout) wait() (commit string) {
	l.t.Helper()
	select {
	case commit = <-l.looked:
	case <-l.t.Context().Done():
		l.t.Fatal("the branch was not looked at")
	}
	return commit
}

// commit changes the branch as a person's push does.
func (s *site) commit(files map[string]string, remove ...string) {
	s.t.Helper()
	_, err := s.repository.Commit(gitserver.Change{Files: files, Delete: remove})
	s.must(err)
}

// values are the files of an app in environments.
func valuesOf(app string, environments ...string) map[string]string {
	files := make(map[string]string)
	for _, environment := range environments {
		files[gitserver.ValuesFile(app, environment)] = gitserver.Values(app, environment, "main-0000000")
	}
	return files
}

// reaches orders a tag and wants it on the branch.
func (l *lookout) reaches(id, app, environment, tag string) {
	l.t.Helper()
	d := l.orders(id, app, environment, tag).delivery(l.t, http.StatusAccepted)
	if u := l.settled(d.Updates[0].ID); u.State != gitops.Committed {
		l.t.Errorf("%s in %s is %s: %s", app, environment, u.State, u.Reason)
	}
}

// refuses orders by a token, which waits for no app.
func (l *lookout) refuses(app, environment, tag string) {
	l.t.Helper()
	body := fmt.Sprintf(`{"app": %q, "environment": %q, "tag": %q}`, app, environment, tag)
	l.call(apiToken, "POST", "/api/v1/updates", body).problem(l.t, http.StatusUnprocessableEntity)
}
