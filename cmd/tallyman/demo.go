package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
)

func newDemo() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a demonstration on this machine: events in, commits out",
		Long: `Run a demonstration on this machine: make a manifest repository in a temporary
directory, serve it with git over HTTP on the loopback interface, start tallyman on it,
send it events as GitHub and EventBridge do, merge its pull requests, follow releases
into a cluster that is played, stop it, resume and roll back, and show each answer, the
commits, the metrics that moved, and what status, explain, history and audit say
afterwards. It needs git, uses no other network, and ends by itself.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, 55*time.Second)
			defer cancel()
			return runDemo(ctx, cmd.OutOrStdout(), verbose)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print complete answers")
	return cmd
}

// The demo's events, in the words of the myshop example.
const (
	demoRegistry = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"
	demoImage    = demoRegistry + "/myshop-api"
	demoDigest   = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
	demoGUID     = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

	demoToken      = "demo-token-of-the-api"
	demoNewApp     = "myshop-web"  // whose files come while tallyman runs
	demoWithout    = "myshop-jobs" // is configured, and has no file
	demoFailedGUID = "00000000-0000-4000-8000-000000000004"
	demoOrderKey   = "release-1.4.0"

	demoLateApp = "myshop-search" // whose image is pushed after it was ordered
	demoLateTag = "main-9f8e7d6"
)

// scene is one event of the demo.
type scene struct {
	title   string
	id      string // of the delivery
	request func(base string) (*http.Request, error)
	status  int
	updates int // that will end

	before func() error // what happens first; nil for nothing
}

func (d *demo) scenes() []scene {
	toDev := dispatch{App: []string{"myshop-api"}, Environment: []string{"dev"}, Tag: "main-1a2b3c4", eventType: "update-image", actor: "ann", repository: "myshop/myshop-api", repositoryID: 17273051}
	toStaging, toProd, web, jobs := toDev, toDev, toDev, toDev
	toStaging.Environment, web.App, jobs.App = []string{"staging"}, []string{demoNewApp}, []string{demoWithout}
	toProd.Environment, toProd.Tag = []string{"prod"}, "1.4.0"
	release := imageEvent{header: "X-Tallyman-Key", repository: demoImage, tag: "1.4.0", digest: demoDigest, action: "PUSH", at: time.Now()}
	untagged := release
	untagged.tag = ""
	github := func(what dispatch, secret []byte, id string) func(base string) (*http.Request, error) {
		return func(base string) (*http.Request, error) { return what.request(base, secret, id) }
	}
	ecr := func(what imageEvent, id string) func(base string) (*http.Request, error) {
		return func(base string) (*http.Request, error) { return what.request(base, d.ecrSecret, id) }
	}
	const (
		releaseID   = "13cde686-328b-6117-af20-0e5566167482"
		forgedID    = "00000000-0000-4000-8000-000000000001"
		refusedID   = "00000000-0000-4000-8000-000000000002"
		untaggedID  = "00000000-0000-4000-8000-000000000003"
		forbiddenID = "00000000-0000-4000-8000-000000000005"
		newAppID    = "00000000-0000-4000-8000-000000000006"
	)
	return []scene{
		{"GitHub: ann's job dispatches main-1a2b3c4 to dev", demoGUID, github(toDev, d.githubSecret, demoGUID), http.StatusAccepted, 1, nil},
		{"EventBridge: 1.4.0 was pushed to ECR", releaseID, ecr(release, releaseID), http.StatusAccepted, 1, nil},
		{"GitHub sends the first delivery again: no new work", demoGUID, github(toDev, d.githubSecret, demoGUID), http.StatusOK, 0, nil},
		{"Somebody forges a signature", forgedID, github(toDev, []byte("a guess"), forgedID), http.StatusUnauthorized, 0, nil},
		{"GitHub: ann's job dispatches main-1a2b3c4 to staging, which takes releases only", refusedID,
			github(toStaging, d.githubSecret, refusedID), http.StatusUnprocessableEntity, 0, nil},
		{"GitHub: ann's job dispatches 1.4.0 to prod, where no rule of access allows dispatches", forbiddenID,
			github(toProd, d.githubSecret, forbiddenID), http.StatusUnprocessableEntity, 0, nil},
		{"A person orders 1.4.0 in prod, by a token of the API", demoOrderKey, apiOrder("myshop-api", "prod", "1.4.0", demoOrderKey), http.StatusAccepted, 0, nil},
		{"EventBridge: a layer of a multi-architecture image, without a tag", untaggedID, ecr(untagged, untaggedID), http.StatusOK, 0, nil},
		{"GitHub: a job dispatches an app whose chart was merged a moment ago and that is not in the configuration", newAppID, github(web, d.githubSecret, newAppID), http.StatusAccepted, 1, d.addApp},
		{"GitHub: a job dispatches an app whose file is not in the repository yet", demoFailedGUID, github(jobs, d.githubSecret, demoFailedGUID), http.StatusAccepted, 1, nil},
	}
}

// apiOrder is an order of the API, by the demo's token.
func apiOrder(app, environment, tag, id string) func(base string) (*http.Request, error) {
	return func(base string) (*http.Request, error) {
		body, err := json.Marshal(map[string]string{"app": app, "environment": environment, "tag": tag})
		if err != nil {
			return nil, err
		}
		return newPost(base+"/api/v1/updates", body, map[string]string{"Authorization": "Bearer " + demoToken, "Idempotency-Key": id})
	}
}

func runDemo(ctx context.Context, out io.Writer, verbose bool) (err error) {
	d, err := newDemoStage()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Fprintf(out, "A manifest repository, served by git at %s:\n%s\n\n", d.repository.URL, indent(d.files))
	if err := d.serve(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "tallyman serves at %s (metrics at %s)\n", d.base, d.admin)
	before, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	updates := 0
	for i, s := range d.scenes() {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, s.title)
		if s.before != nil {
			// The demo's git takes a person's commit on the tip that it saw, whatever was
			// pushed since.
			if err := d.server.awaitEnds(ctx, updates); err != nil {
				return err
			}
			updates = 0
			if err := s.before(); err != nil {
				return err
			}
		}
		if err := d.play(ctx, out, s, verbose); err != nil {
			return err
		}
		updates += s.updates
	}
	if err := d.server.awaitEnds(ctx, updates); err != nil {
		return err
	}
	if err := d.playMore(ctx, out); err != nil {
		return err
	}
	if err := d.showCommits(out); err != nil {
		return err
	}
	after, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe metrics that moved:\n%s\n", indent(moved(before, after)))
	if err := d.askAbout(ctx, out); err != nil {
		return err
	}
	if err := d.server.stop(); err != nil {
		return err
	}
	fmt.Fprint(out, "\nSIGTERM: tallyman drained and ended with exit status 0.\n")
	return nil
}

// play sends one event and shows the answer.
func (d *demo) play(ctx context.Context, out io.Writer, s scene, verbose bool) error {
	req, err := s.request(d.base)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	text := strings.TrimSuffix(indentJSON(body), "\n")
	if !verbose {
		text = summary(body)
	}
	fmt.Fprintf(out, "   HTTP %s\n%s\n", resp.Status, indent(text))
	if resp.StatusCode != s.status {
		return fmt.Errorf("expected HTTP %d", s.status)
	}
	return nil
}

// askAbout asks what a developer asks: the state of everything, and of each delivery
// why something happened or nothing did. The update that failed is dismissed.
func (d *demo) askAbout(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\nThe results, with TALLYMAN_URL=%s and TALLYMAN_TOKEN_FILE=api-token:\n", d.base)
	failed := gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: demoFailedGUID}, "dev", demoWithout)
	questions := [][]string{{"status"}, {"holds"}, {"apps"}, {"deliveries"}, {"dismiss", failed, "--reason", "its chart comes next week"}}
	asked := make(map[string]bool)
	for _, s := range d.scenes() {
		if !asked[s.id] {
			asked[s.id] = true
			questions = append(questions, []string{"explain", s.id})
		}
	}
	questions = append(questions, []string{"history", "myshop-api", "--env", "prod"}, []string{"audit"})
	return d.run(ctx, out, questions)
}

// run runs commands and shows what they print.
func (d *demo) run(ctx context.Context, out io.Writer, commands [][]string) error {
	for _, args := range commands {
		answer, err := d.ask(ctx, args...)
		if err != nil {
			return fmt.Errorf("tallyman %s: %w: %s", strings.Join(args, " "), err, answer)
		}
		fmt.Fprintf(out, "\n$ tallyman %s\n%s\n", strings.Join(args, " "), indent(strings.TrimSuffix(answer, "\n")))
	}
	return nil
}

// summary says in a few lines what an answer says.
func summary(body []byte) string {
	var answer struct {
		gitops.Delivery
		Detail string `json:"detail"` // of a problem
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return string(body)
	}
	var lines []string
	for _, u := range answer.Updates {
		lines = append(lines, fmt.Sprintf("%s in %s to %s: %s", u.App, u.Environment, u.Tag, u.State))
	}
	for _, text := range []string{answer.Reason, answer.Detail} {
		if text != "" {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "\n")
}

// showCommits prints what is new on the branch, oldest first.
func (d *demo) showCommits(out io.Writer) error {
	log, err := d.repository.Git("log", "--reverse", "--patch", "--unified=1", "--no-color",
		"--format=%ncommit %h  %an <%ae>%n%n%w(0,4,4)%B%w(0,0,0)%-C()", d.first+"..main")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe commits on the branch:\n%s\n", log)
	_, err = d.repository.Git("fsck", "--full", "--strict")
	return err
}

func indent(text string) string {
	return "   " + strings.ReplaceAll(text, "\n", "\n   ")
}
