package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// demoForge is a GitHub with one repository, which has pull requests, and the App as which
// tallyman writes it.
type demoForge struct {
	*githubtest.Server
	manifests *githubtest.Repository
	stage     *demoProblems
}

// demoReviewer is who approves and merges.
const demoReviewer = "bo"

func startDemoForge(git *gitserver.Repository) *demoForge {
	stage := &demoProblems{}
	f := &demoForge{Server: githubtest.New(stage), stage: stage}
	const installation = 5678
	f.Install(installation, "myshop/myshop-manifests")
	f.Permit(installation, "pull_requests", "write")
	f.Subscribe(installation, "pull_request")
	f.manifests = f.Serve("myshop/myshop-manifests", git)
	f.manifests.Set(func(s *githubtest.Settings) { s.SquashTitle, s.SquashMessage = "PR_TITLE", "PR_BODY" })
	f.manifests.Rule("main", githubtest.Reviews(1))
	return f
}

// close ends it. What GitHub would have refused is an error.
func (f *demoForge) close() error {
	for _, cleanup := range slices.Backward(f.stage.cleanups) {
		cleanup()
	}
	return errors.Join(f.stage.problems...)
}

// demoProblems is the test that the fake takes: it keeps what would fail a test.
type demoProblems struct {
	cleanups []func()
	problems []error
}

func (p *demoProblems) Helper()          {}
func (p *demoProblems) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *demoProblems) Errorf(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

// Fatal ends the demonstration: there is no stage to play on.
func (p *demoProblems) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (p *demoProblems) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (p *demoProblems) TempDir() string {
	dir, err := os.MkdirTemp("", "tallyman-demo-github-")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is of a demonstration
	return dir
}

// review waits until the order of 1.4.0 is proposed in prod, and has it approved and merged.
func (d *demo) review(ctx context.Context, out io.Writer) error {
	order := []string{"update", "myshop-api", "1.4.0", "--env", "prod", "--key", demoOrderKey}
	if err := d.run(ctx, out, [][]string{append(order, "--wait"), {"explain", demoOrderKey}}); err != nil {
		return err
	}
	if err := d.merge(ctx, out); err != nil {
		return err
	}
	return d.run(ctx, out, [][]string{append(order, "--wait=committed")})
}

// merge has the open pull request approved and merged by a person, and tells tallyman so as
// GitHub does.
func (d *demo) merge(ctx context.Context, out io.Writer) error {
	pulls := d.forge.manifests.Pulls()
	open := slices.IndexFunc(pulls, func(p githubtest.Pull) bool { return p.Open })
	if open < 0 {
		return errors.New("no pull request is open")
	}
	p := pulls[open]
	d.forge.manifests.Approve(demoReviewer, p.Number)
	d.forge.manifests.Merge(demoReviewer, p.Number, "squash")
	fmt.Fprintf(out, "\n   %s approves pull request %d, %q, and squashes it.\n", demoReviewer, p.Number, p.Title)
	for _, event := range d.forge.manifests.Events() {
		if err := d.tell(ctx, event); err != nil {
			return err
		}
	}
	return d.server.awaitUpdates(ctx, 1)
}

// tell sends tallyman an event of GitHub's.
func (d *demo) tell(ctx context.Context, e githubtest.Event) error {
	req, err := newWebhook(d.base, d.githubSecret, e.Name, uuid.NewString(), e.Body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the event %s is answered HTTP %s", e.Name, resp.Status)
	}
	return nil
}
