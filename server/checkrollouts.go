package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// tokenSoon is how long before its end a token is told of.
const tokenSoon = 14 * 24 * time.Hour

// checkRollouts asks each Argo CD what its token may, and which Application deploys each app
// that is followed, and prints a line for each. An app that none deploys is a warning: its
// updates are written all the same.
func (s *Server) checkRollouts(ctx context.Context, out io.Writer, g *generation) error {
	var problems []error
	var reached argoCDs
	for _, a := range g.argoCDs {
		if err := a.check(ctx, out); err != nil {
			problems = append(problems, err)
			continue
		}
		reached = append(reached, a)
	}
	if len(reached) < len(g.argoCDs) {
		return errors.Join(problems...) // which apps are missing is not known
	}
	site := newFollowedSite(g, g.known())
	for _, at := range g.known().In("") {
		how, _ := site.Followed(at.Environment, at.App)
		if how.By == follow.ByArgoCD {
			reached.checkApp(out, at.App+" in "+at.Environment, how)
		}
	}
	return nil
}

// check asks what the token may, and which Applications there are.
func (a *argoCD) check(ctx context.Context, out io.Writer) error {
	user, err := a.client.UserInfo(ctx)
	if err != nil {
		return err
	}
	where := "Argo CD at " + a.client.Instance()
	if !user.LoggedIn {
		return gitops.Errorf(gitops.Unauthorized, "%s: the token of %s is not accepted: write a valid one to the file", where, a.settings.TokenFile)
	}
	for _, project := range a.settings.Projects {
		if err := a.checkProject(ctx, out, where, project, user); err != nil {
			return err
		}
	}
	if ends := a.client.TokenExpires(); !ends.IsZero() && ends.Sub(now()) < tokenSoon {
		fmt.Fprintf(out, "warning: %s: the token expires in %d days, at %s: make a new one and write it to %s\n", where, int(ends.Sub(now()).Round(24*time.Hour)/(24*time.Hour)), ends.Format(time.RFC3339), a.settings.TokenFile)
	}
	return a.index.List(ctx)
}

// checkProject asks what the token may in one project.
func (a *argoCD) checkProject(ctx context.Context, out io.Writer, where, project string, user argocd.User) error {
	may, err := a.client.CanI(ctx, "get", project)
	if err != nil {
		return err
	}
	if !may {
		return gitops.Errorf(gitops.Forbidden, `%s: the token may not get Applications of project %s: give it "applications, get, %s/*, allow"`, where, project, project)
	}
	fmt.Fprintf(out, "%s: the token may get the Applications of %s, as %s\n", where, project, user.Username)
	may, err = a.client.CanI(ctx, "sync", project)
	if err == nil && may {
		fmt.Fprintf(out, "warning: %s: the token may sync %s, too: tallyman needs get alone\n", where, project)
	}
	return err
}

// checkApp says which Applications deploy an app.
func (all argoCDs) checkApp(out io.Writer, app string, how follow.Followed) {
	var names []string
	near := ""
	for _, a := range all {
		found := a.Find(how.File, how.Application)
		for _, ref := range found.All {
			if name := ref.String(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if found.Near != "" {
			near = " (" + found.Near + ")"
		}
	}
	switch {
	case len(names) > 0:
		for _, name := range names {
			fmt.Fprintf(out, "%s: %s deploys it\n", app, name)
		}
	case how.Application != "":
		fmt.Fprintf(out, "warning: %s: there is no Application %s\n", app, how.Application)
	default:
		fmt.Fprintf(out, "warning: %s: no Application of argocd reads %s on %s%s: whether its updates run will not be known\n", app, how.File.File, how.File.Branch, near)
	}
}
