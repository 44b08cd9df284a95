package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server"
)

func TestCheckTag(t *testing.T) {
	s := newSite(t, 2)
	const image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-01"
	out, errs, exit := run(t, "check", "--config", s.config(), "--tag", "rc-1a2b3c4", "--app", "app-01")
	if exit != 0 || errs != "" {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	want := "An order of the tag rc-1a2b3c4, as a dry run. Files as in main at " + short(s.first) + `.

ENVIRONMENT  APP     RESULT     FILE                               KEYS        REASON
dev          app-01  not taken  -                                  -           REASON
prod         app-01  not taken  -                                  -           REASON
staging      app-01  taken      charts/app-01/values-staging.yaml  .image.tag

charts/app-01/values-staging.yaml
@@ -4 +4 @@
-    tag: main-0000000  # by tallyman
+    tag: rc-1a2b3c4  # by tallyman
`
	reason := regexp.MustCompile(`  tag rc-1a2b3c4 .*`) // has a test of its own
	if diff := cmp.Diff(want, reason.ReplaceAllString(out, "  REASON")); diff != "" {
		t.Error(diff)
	}

	out, errs, exit = run(t, "check", "--config", s.config(), "--tag", "v-1a2b3c4", "--repository", image, "--environment", "prod", "-o", "json")
	var d server.DryRun
	if err := json.Unmarshal([]byte(out), &d); err != nil || exit != 0 {
		t.Fatalf("exit %d, %v: %s", exit, err, errs)
	}
	taken := server.Effect{Environment: "prod", App: "app-01", Taken: true, Files: []server.FileEffect{{File: "charts/app-01/values-prod.yaml", Keys: []string{".image.tag"},
		Diff: "@@ -4 +4 @@\n-    tag: main-0000000  # by tallyman\n+    tag: v-1a2b3c4  # by tallyman\n"}}}
	if diff := cmp.Diff(server.DryRun{Tag: "v-1a2b3c4", Repository: image, Commit: s.first, Targets: []server.Effect{taken}}, d); diff != "" {
		t.Error(diff)
	}

	out, errs, exit = run(t, "check", "--config", s.config(), "--tag", "nothing", "--repository", image)
	if exit != exitFailed || !strings.HasPrefix(errs, "tallyman: nothing takes the tag nothing") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	expect(t, "what nothing takes", out, "A push of "+image+":nothing, as a dry run. The files were not read.", "prod         app-01  not taken")
	_, errs, exit = run(t, "check", "--config", s.config(), "--tag", "v-1a2b3c4", "--repository", image+"x")
	if exit != exitFailed || !strings.Contains(errs, "no app is configured with the repository "+image+"x") {
		t.Errorf("exit %d: %s", exit, errs)
	}

	s.must(s.git.Close())
	out, errs, exit = run(t, "check", "--config", s.config(), "--tag", "v-1a2b3c4", "--env", "prod", "--offline")
	if exit != 0 || errs != "" || strings.Contains(out, "@@") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	expect(t, "offline", out, "The files were not read.", "prod         app-00  taken   charts/app-00/values-prod.yaml  .image.tag")
	if _, errs, exit = run(t, "check", "--config", s.config(), "--tag", "v-1a2b3c4", "--env", "prod"); exit != exitFailed || errs == "" {
		t.Errorf("without a git server: exit %d: %s", exit, errs)
	}
}

func TestCheckTagRejectsFlags(t *testing.T) {
	s := newSite(t, 1)
	for want, flags := range map[string][]string{
		"--app needs --tag":             {"--app", "app-00"},
		"--output needs --tag":          {"-o", "json"},
		"--tag is empty":                {"--tag", ""},
		"--output must be table":        {"--tag", "v1", "-o", "xml"},
		`no app "shop" is configured`:   {"--tag", "v1", "--app", "shop"},
		`no environment "qa"`:           {"--tag", "v1", "--env", "qa"},
		"repository: must be an image ": {"--tag", "v1", "--repository", "api"},
	} {
		if _, errs, exit := run(t, append([]string{"check", "--offline", "--config", s.config()}, flags...)...); exit != exitBadInput || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d: %s", flags, exit, errs)
		}
	}
}

// A file can say what a terminal must not hear.
func TestCheckTagPrintsNoEscapes(t *testing.T) {
	s := newSite(t, 1)
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{"charts/app-00/values-prod.yaml": "image:\r\n  tag: main-0000000 # \u009b31m\r\n"}})
	s.must(err)
	out, errs, _ := run(t, "check", "--config", s.config(), "--tag", "v-1a2b3c4", "--env", "prod")
	if strings.ContainsAny(out+errs, "\r\u009b\x1b") {
		t.Errorf("printed %q %q", out, errs)
	}
}
