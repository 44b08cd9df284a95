package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

const shopImage = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api"

// dryRun asks a server that was never started.
func (s *site) dryRun(q Image, offline bool) (DryRun, error) {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(s.t.Context())) }()
	return server.DryRun(s.t.Context(), q, offline)
}

// effects are the targets of a dry run, each in a line.
func (d DryRun) effects() (lines []string) {
	for _, e := range d.Targets {
		line, changes := e.Environment+" "+e.App+": not taken", ""
		if e.Taken {
			line = e.Environment + " " + e.App + ":"
			for _, f := range e.Files {
				line += " " + f.File + " " + strings.Join(f.Keys, " ")
				changes += f.Diff
			}
		}
		if e.Reason != "" {
			line += ": " + e.Reason
		}
		lines = append(lines, line+strings.ReplaceAll("\n"+changes, "\n", "|"))
	}
	return lines
}

func TestDryRun(t *testing.T) {
	s := newSite(t)
	tip, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		"charts/api/values-dev.yaml":  "image:\n  tag: main-0000000\n",
		"charts/api/values-prod.yaml": "image:\n  tag: 1.0.0\n",
	}})
	s.must(err)
	for name, c := range map[string]struct {
		q       Image
		offline bool
		commit  string
		want    []string // of each line a beginning and an end, with ... between
	}{
		"an order everywhere": {Image{Tag: "main-1a2b3c4"}, false, tip, []string{
			"dev api: charts/api/values-dev.yaml .image.tag|@@ -2 +2 @@|-  tag: main-0000000|+  tag: main-1a2b3c4|",
			"dev worker: charts/worker/values-dev.yaml .image.tag|@@ ...|",
			"prod api: not taken: tag main-1a2b3c4 is ...|"}},
		"of one app": {Image{Tag: "main-1a2b3c4", Apps: []string{"worker"}}, false, tip, []string{"dev worker: charts/worker/values-dev.yaml ...|", "prod worker: not taken: app \"worker\" is not configured for environment \"prod\" (it is in dev): add that to the app's environments, or correct the name|"}},
		"of several": {Image{Tag: "1.2.3", Apps: []string{"api", "worker"}, Environments: []string{"prod"}}, true, "", []string{
			"prod api: charts/api/values-prod.yaml .image.tag|", "prod worker: not taken: app \"worker\" is not configured for environment \"prod\" (it is in dev): add that to the app's environments, or correct the name|"}},
		"in one environment":    {Image{Tag: "1.2.3", Apps: []string{"api"}, Environments: []string{"prod"}}, false, tip, []string{"prod api: charts/api/values-prod.yaml .image.tag|@@ -2 +2 @@|-  tag: 1.0.0|+  tag: 1.2.3|"}},
		"that is there already": {Image{Tag: "1.0.0", Environments: []string{"prod"}}, false, tip, []string{"prod api: charts/api/values-prod.yaml .image.tag: the file already has this tag|"}},
		"that is no tag":        {Image{Tag: "a b", Environments: []string{"prod"}}, false, "", []string{"prod api: not taken: \"a b\" is not an image tag...|"}},
		"a push": {Image{Tag: "1.2.3", Repository: shopImage}, false, tip, []string{
			"dev api: not taken: tag 1.2.3 does not match ...|", "prod api: charts/api/values-prod.yaml .image.tag|@@ -2 +2 @@|-  tag: 1.0.0|+  tag: 1.2.3|"}},
		"of a lower version":        {Image{Tag: "0.9.0", Repository: shopImage, Environments: []string{"prod"}}, false, "", []string{"prod api: not taken: tag 0.9.0 does not satisfy...|"}},
		"by another of its hosts":   {Image{Tag: "1.2.3", Environments: []string{"prod"}, Repository: "123456789012.dkr-ecr.eu-west-1.on.aws/shop/api"}, false, tip, []string{"prod api: charts/...|"}},
		"of an app with no image":   {Image{Tag: "1.2.3", Repository: shopImage, Apps: []string{"worker"}}, false, "", []string{"dev worker: not taken: the repository of app \"worker\" is not configured there|", "prod worker: not taken: app \"worker\" is not configured for it|"}},
		"of latest":                 {Image{Tag: "latest", Repository: shopImage, Environments: []string{"dev"}}, false, "", []string{"dev api: not taken: detail.image-tag: \"latest\" never reaches a manifest...|"}},
		"of an image without app":   {Image{Tag: "1.2.3", Repository: shopImage + "2"}, false, "", nil},
		"without the branch":        {Image{Tag: "1.2.3", Environments: []string{"prod"}}, true, "", []string{"prod api: charts/api/values-prod.yaml .image.tag|"}},
		"of a digest that is wrong": {Image{Tag: "1.2.3", Environments: []string{"prod"}, Digest: "sha256:1"}, true, "", []string{"prod api: not taken: \"sha256:1\" is not a digest...|"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := s.dryRun(c.q, c.offline)
			s.must(err)
			got := d.effects()
			for i, want := range c.want {
				if begin, end, cut := strings.Cut(want, "..."); cut && i < len(got) && strings.HasPrefix(got[i], begin) && strings.HasSuffix(got[i], end) {
					got[i] = want
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || d.Commit != c.commit {
				t.Errorf("at %q, want %q: %s", d.Commit, c.commit, diff)
			}
			if d.Taken() != strings.Contains(strings.Join(c.want, ""), "charts/") {
				t.Errorf("taken: %t", d.Taken())
			}
		})
	}
	if after, err := s.repository.Git("rev-parse", "main"); err != nil || after != tip || s.git.Counts().Requests[gitserver.Push] > 0 {
		t.Errorf("a dry run has written: %s became %s, %v", tip, after, err)
	}
}

// A push does not lower the version that the file has, and an order may.
func TestDryRunOfALowerVersion(t *testing.T) {
	s := newSite(t)
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{"charts/api/values-prod.yaml": "image:\n  tag: 2.0.0\n"}})
	s.must(err)
	d, err := s.dryRun(Image{Tag: "1.9.5", Repository: shopImage, Environments: []string{"prod"}}, false)
	if s.must(err); d.Taken() || !strings.HasPrefix(d.Targets[0].Reason, "1.9.5 is lower than 2.0.0, which is in charts/api/values-prod.yaml: ") {
		t.Errorf("a push: %+v", d)
	}
	if d, err := s.dryRun(Image{Tag: "1.9.5", Apps: []string{"api"}, Environments: []string{"prod"}}, false); err != nil || !d.Taken() {
		t.Errorf("an order: %+v, %v", d, err)
	}
}

// A push by a source that no rule of access allows to order is not taken, whatever the
// environments' rules say.
func TestDryRunOfAPushThatMayNotOrder(t *testing.T) {
	for name, c := range map[string]struct {
		old, now, want string
	}{
		"of another account":       {`accounts: ["123456789012"]`, `accounts: ["210987654321"]`, `push from eventbridge (account 123456789012, region eu-west-1) may not order api in prod: the nearest rule, access[1], does not hold: account "123456789012" is not among 210987654321`},
		"of another region":        {`accounts: ["123456789012"]`, `regions: [eu-west-2]`, `region "eu-west-1" is not among eu-west-2`},
		"into another environment": {`accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: ["*"]`, `accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: [dev]`, `environment "prod" is not among dev`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.edit(c.old, c.now)
			d, err := s.dryRun(Image{Tag: "1.2.3", Repository: shopImage, Environments: []string{"prod"}}, true)
			if s.must(err); d.Taken() || len(d.Targets) != 1 || !strings.Contains(d.Targets[0].Reason, c.want) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestDryRunOfAPushWithoutASource(t *testing.T) {
	s := newSite(t)
	s.edit("  eventbridge: {secretFiles: ["+s.dir+"/bridge]}\n", "")
	s.edit(`  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: ["*"]}`+"\n", "")
	d, err := s.dryRun(Image{Tag: "1.2.3", Repository: shopImage}, true)
	if s.must(err); d.Reason != "no source of push events is configured: sources.eventbridge or sources.sns" || d.Taken() {
		t.Errorf("got %+v", d)
	}
}

// An order that nobody may place is not taken.
func TestDryRunOfAnOrderThatNobodyMayPlace(t *testing.T) {
	s := newSite(t)
	s.edit(`repositoryID: 17}}, may: [order], apps: ["*"], environments: ["*"]`, `repositoryID: 17}}, may: [order], apps: ["*"], environments: [dev]`)
	s.edit("{token: ops}, may: [read, order, retry, cancel]", "{token: ops}, may: [read]")
	d, err := s.dryRun(Image{Tag: "1.2.3", Apps: []string{"api"}, Environments: []string{"prod"}}, true)
	if s.must(err); d.Taken() || d.Targets[0].Reason != "no rule of access allows anybody to order it there by name" {
		t.Errorf("got %+v", d)
	}
}

// An update that would be accepted and then fail is not taken, and says why.
func TestDryRunOfAnEditThatFails(t *testing.T) {
	s := newSite(t)
	s.edit("apps:\n", "set: helm-digest\napps:\n")
	_, err := s.repository.Commit(gitserver.Change{Delete: []string{"charts/api/values-dev.yaml"},
		Files: map[string]string{"charts/api/values-prod.yaml": "image: {tag: 1.0.0, digest: \"\"}\n"}})
	s.must(err)
	for name, c := range map[string]struct {
		q    Image
		want string
	}{
		"no such file": {Image{Tag: "main-1a2b3c4", Apps: []string{"api"}, Environments: []string{"dev"}}, "it would be accepted, and then fail: charts/api/values-dev.yaml: no such file in the manifest repository"},
		"no digest":    {Image{Tag: "1.2.3", Environments: []string{"prod"}}, "it would be accepted, and then fail: "},
	} {
		d, err := s.dryRun(c.q, false)
		if s.must(err); d.Taken() || !strings.HasPrefix(d.Targets[0].Reason, c.want) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for name, q := range map[string]Image{"a push": {Tag: "1.2.3", Repository: shopImage, Environments: []string{"prod"}}, "an order with a digest": {Tag: "1.2.3", Environments: []string{"prod"}, Digest: "sha256:" + strings.Repeat("a", 64)}} {
		if d, err := s.dryRun(q, false); err != nil || !d.Taken() || strings.Count(d.Targets[0].Files[0].Diff, "\n") != 3 || len(d.Targets[0].Files[0].Keys) != 2 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestDryRunRejectsNamesThatAreNotThere(t *testing.T) {
	s := newSite(t)
	const noImage = "repository: must be an image in ECR without tag, such as 1234567890"
	for _, repository := range []string{"registry.example.com/api", shopImage + ":1.2.3", shopImage + "@sha256:1"} {
		if _, err := s.dryRun(Image{Tag: "1.2.3", Repository: repository}, true); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), noImage) {
			t.Errorf("%s: got %v, want %s", repository, err, noImage)
		}
	}
	for want, q := range map[string]Image{
		`app: no app "shop" is configured: add it to apps, or correct the name`: {Tag: "1.2.3", Apps: []string{"shop"}},
		`env: no environment "qa" is configured (there are dev, prod)`:          {Tag: "1.2.3", Environments: []string{"qa"}},
	} {
		if _, err := s.dryRun(q, true); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
