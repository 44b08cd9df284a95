package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// verifiesAtOnce is how many apps the server is asked about at a time.
const verifiesAtOnce = 4

func newVerify() *cobra.Command {
	var from remote
	var environment string
	var all bool
	cmd := &cobra.Command{
		Use:   "verify APP --env ENV",
		Short: "Compare what registry, branch, Argo CD and cluster say of an app",
		Long: `Compare what the registry, the branch of the manifest repository, Argo CD and the
cluster say of an app in an environment. They are asked now, Argo CD after a look at
git, and each is held to the tag that the branch has. With --all every app of the
environment is compared.

Each of the four lines begins with one of these:
  OK          it agrees
  ON ITS WAY  it will agree by itself, or when a person acts
  UNSURE      nothing says that it differs, and not all that it agrees: an image
              for several platforms has several digests, or nothing is known to
              read the file
  DIFFERS     it has something else, or failed
  NO ANSWER   it was asked and did not answer
  NOT ASKED   the configuration does not say how: see image and rollout of
              environments.ENV

Exit status: 0 where nothing differs, 1 where something does, 2 where something was
asked and did not answer, 3 where something is on its way. With --all the first of 1, 2
and 3 that is true of an app.`,
		Example: "  tallyman verify myshop-api --env prod\n  tallyman verify --all --env prod\n  tallyman verify myshop-api --env prod -o json | jq -r '.lines[] | \"\\(.place) \\(.word)\"'",
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return noArgs(cmd, args)
			}
			return exactly("APP")(cmd, args)
		},
		RunE: from.run(func(a apiRun, args []string) error {
			if environment == "" {
				return badInput{errors.New("--env is required")}
			}
			if all {
				return a.verifyAll(environment)
			}
			r, err := a.server.Verify(a.Context(), environment, args[0])
			if err != nil {
				return area{[]string{environment}, args}.name(a, err)
			}
			if err := a.print.print(r, func() { a.print.verification(r) }); err != nil {
				return err
			}
			return resultOf(r)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().BoolVar(&all, "all", false, "compare every app of the environment")
	from.completeNames(cmd)
	return cmd
}

// verifyWords are the words of lines for people, with their colours.
var verifyWords = map[verify.Word]cell{
	verify.OK: {"OK", "good"}, verify.OnItsWay: {"ON ITS WAY", "wait"}, verify.Unsure: {"UNSURE", "wait"},
	verify.Differs: {"DIFFERS", "bad"}, verify.NoAnswer: {"NO ANSWER", "bad"}, verify.NotAsked: {"NOT ASKED", "dim"},
}

// placeWords are the places for people.
var placeWords = map[verify.Place]string{verify.Registry: "registry", verify.Manifest: "manifest", verify.ArgoCD: "Argo CD", verify.Cluster: "cluster"}

// verification shows the four lines.
func (p *printer) verification(r verify.Report) {
	p.line("", "%s in %s: %s", r.App, r.Environment, firstOf(r.Tag, "the tag on the branch is not known"))
	for _, l := range r.Lines {
		word := verifyWords[l.Word]
		p.line("  ", "%s%s  %-8s  %s", p.paint(word.text, word.colour), strings.Repeat(" ", len("ON ITS WAY")-len(word.text)), placeWords[l.Place], l.Text)
	}
}

// verifyFailed is a comparison that did not come out well.
type verifyFailed struct {
	text string
	code int
}

func (e verifyFailed) Error() string { return e.text }
func (e verifyFailed) exit() int     { return e.code }

// verifyExits are the exit codes of results that are not 0, the one that counts most first.
var verifyExits = []struct {
	word verify.Word
	code int
	text string
}{{verify.Differs, 1, "differs"}, {verify.NoAnswer, 2, "could not be asked"}, {verify.OnItsWay, 3, "is on its way"}}

// resultOf is the error that a report comes to; nil where nothing differs.
func resultOf(r verify.Report) error {
	for _, e := range verifyExits {
		if r.Result == e.word {
			return verifyFailed{fmt.Sprintf("%s in %s %s", r.App, r.Environment, e.text), e.code}
		}
	}
	return nil
}

// verified is an app that was compared.
type verified struct {
	verify.Report
	Problem string `json:"problem,omitempty"` // why the server did not compare it
}

// verifications is what --all prints for programs.
type verifications struct {
	Environment string              `json:"environment"`
	Result      verify.Word         `json:"result"` // the one of all that counts most
	Counts      map[verify.Word]int `json:"counts"` // of apps, by result
	Apps        []verified          `json:"apps"`   // by name
}

// verifyAll compares every app of an environment. One that cannot be asked about is a line.
func (a apiRun) verifyAll(environment string) error {
	apps, err := a.appsIn(environment)
	if err != nil {
		return err
	}
	found := verifications{Environment: environment, Result: verify.NotAsked, Counts: make(map[verify.Word]int), Apps: make([]verified, len(apps))}
	turns := make(chan struct{}, verifiesAtOnce)
	var each sync.WaitGroup
	for i, app := range apps {
		turns <- struct{}{}
		each.Go(func() {
			defer func() { <-turns }()
			r, err := a.server.Verify(a.Context(), environment, app)
			if found.Apps[i] = (verified{Report: r}); err != nil {
				found.Apps[i] = verified{verify.Report{App: app, Environment: environment, At: time.Now().UTC(), Result: verify.NoAnswer, Lines: []verify.Line{}}, gitops.PublicOf(err)}
			}
		})
	}
	each.Wait()
	if err := a.Context().Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	for _, r := range found.Apps {
		found.Counts[r.Result]++
		found.Result = verify.Worse(found.Result, r.Result)
	}
	if err := a.print.print(found, func() { a.print.verifications(found) }); err != nil {
		return err
	}
	for _, e := range verifyExits {
		if n := found.Counts[e.word]; n > 0 {
			return verifyFailed{fmt.Sprintf("%d of %s in %s: %s", n, plural(len(apps), "app"), environment, verifyWords[e.word].text), e.code}
		}
	}
	return nil
}

// appsIn are the names of the apps of an environment, sorted.
func (a apiRun) appsIn(environment string) (apps []string, err error) {
	if err := a.checkNames(environment, ""); err != nil {
		return nil, err
	}
	filter := filterOf("environment", environment, "problems", "false")
	known, err := collect(a.Context(), filter, mostVerified, func(ctx context.Context, f url.Values) ([]api.KnownApp, string, error) {
		list, err := a.server.Apps(ctx, f)
		return list.Apps, list.Next, err
	})
	for _, k := range known {
		apps = append(apps, k.App)
	}
	return apps, err
}

// mostVerified is how many apps --all compares.
const mostVerified = 20_000

// verifications shows a row for each app, and how many came to what.
func (p *printer) verifications(all verifications) {
	var rows [][]cell
	for _, r := range all.Apps {
		row := []cell{{r.App, ""}, {firstOf(r.Tag, "-"), ""}}
		for _, place := range []verify.Place{verify.Registry, verify.Manifest, verify.ArgoCD, verify.Cluster} {
			row = append(row, wordAt(r.Report, place))
		}
		rows = append(rows, append(row, cell{firstOf(r.Problem, worstText(r.Report)), ""}))
	}
	p.table([]string{"APP", "TAG", "REGISTRY", "MANIFEST", "ARGO CD", "CLUSTER", "WHY"}, rows)
	var counts []string
	for _, word := range verify.Words() {
		if n := all.Counts[word]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, verifyWords[word].text))
		}
	}
	p.line("", "%s in %s: %s", plural(len(all.Apps), "app"), all.Environment, firstOf(strings.Join(counts, ", "), "none"))
}

// wordAt is the word of a place.
func wordAt(r verify.Report, place verify.Place) cell {
	for _, l := range r.Lines {
		if l.Place == place {
			return verifyWords[l.Word]
		}
	}
	return cell{"-", ""}
}

// worstText is what the line says that counts most, where something does not agree.
func worstText(r verify.Report) string {
	if r.Result == verify.OK || r.Result == verify.NotAsked {
		return ""
	}
	for _, l := range r.Lines {
		if l.Word == r.Result {
			return placeWords[l.Place] + ": " + l.Text
		}
	}
	return ""
}
