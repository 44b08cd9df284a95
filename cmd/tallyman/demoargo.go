package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// demoBroken is a tag that the cluster refuses.
const demoBroken = "main-5e5e5e5"

// demoArgo is an Argo CD with two Applications, which hears of no push.
type demoArgo struct {
	*argocdtest.Server
	url, token string
	api        *argocdtest.Model // deploys myshop-api in dev
	stage      *demoProblems
}

// startDemoArgo starts it on the repository, of which it begins with a commit.
func startDemoArgo(git *gitserver.Repository, first, registry string) *demoArgo {
	stage := &demoProblems{}
	a := &demoArgo{Server: argocdtest.New(stage, nil), stage: stage}
	a.url, a.token = a.Listen(), a.Token("myshop")
	a.api = a.deploy(git, first, "myshop-api", "dev", demoImage)
	a.deploy(git, first, demoLateApp, "next", registry+"/"+demoLateApp)
	return a
}

// deploy adds the Application of an app in an environment.
func (a *demoArgo) deploy(git *gitserver.Repository, first, app, environment, image string) *argocdtest.Model {
	file := gitserver.ValuesFile(app, environment)
	tag := regexp.MustCompile(`tag: "?([^" \n]+)`)
	const before = "main-0000000"
	return a.Add(argocdtest.App{
		Project: "myshop", Name: app + "-" + environment, Image: image, Revision: first, Tag: before,
		Sources: []argocdtest.Source{{RepoURL: git.URL, TargetRevision: "main", Path: path.Dir(file), ValueFiles: []string{path.Base(file)}}},
		Digests: map[string]string{demoLateTag: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(demoManifest)))},
		Git: func() (revision, is string) {
			tip, err := git.Git("rev-parse", "main")
			if err != nil {
				return first, before
			}
			revision, is = strings.TrimSpace(tip), before
			if text, err := git.Git("show", revision+":"+file); err == nil { // else its chart is not there yet
				if found := tag.FindStringSubmatch(text); found != nil {
					is = found[1]
				}
			}
			return revision, is
		},
		Behaviour: argocdtest.Behaviour{WebhookLost: true, Rollout: 200 * time.Millisecond},
	})
}

// close ends it. What Argo CD would have refused is an error.
func (a *demoArgo) close() error {
	for _, cleanup := range slices.Backward(a.stage.cleanups) {
		cleanup()
	}
	return errors.Join(a.stage.problems...)
}

// runs waits until what was ordered late runs, and compares what all say of it.
func (d *demo) runs(ctx context.Context, out io.Writer) error {
	return d.run(ctx, out, [][]string{
		append(slices.Clone(orderOfLate), "--wait=healthy"),
		{"verify", demoLateApp, "--env", "next"},
	})
}

// goBackByItself plays a release that the cluster refuses, where tallyman may go back by itself.
func (d *demo) goBackByItself(ctx context.Context, out io.Writer) error {
	if err := d.run(ctx, out, [][]string{{"update", "myshop-api", "main-1a2b3c4", "--env", "dev", "--wait=healthy"}}); err != nil {
		return err
	}
	d.argo.api.Change(func(b *argocdtest.Behaviour) {
		b.SyncFails = "Deployment.apps \"myshop-api\" is invalid: spec.replicas: Invalid value: -1"
	})
	if err := d.run(ctx, out, [][]string{{"update", "myshop-api", demoBroken, "--env", "dev", "--wait=healthy"}}); err != nil {
		return err
	}
	d.argo.api.Change(func(b *argocdtest.Behaviour) { b.SyncFails = "" })
	if err := d.server.await(ctx, func(line map[string]any) bool {
		return line["msg"] == "update committed" && line["tag"] == "main-1a2b3c4" && line["environment"] == "dev"
	}); err != nil {
		return err
	}
	return d.run(ctx, out, [][]string{{"history", "myshop-api", "--env", "dev"}, {"holds"}})
}
