package main

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/deploy"
	"github.com/tallyman-dev/tallyman/server/config"
)

func runRoot(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestAppSetup(t *testing.T) {
	out, err := runRoot(t, "app", "setup", "--org", "myshop", "--url", "https://tallyman.myshop.example/")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`https://github\.com/organizations/myshop/settings/apps/new\?\S+`).FindString(out)
	address, err := url.Parse(found)
	if err != nil || found == "" {
		t.Fatalf("no address: %v\n%s", err, out)
	}
	want := url.Values{
		"name": {"myshop-tallyman"}, "description": {"Writes the tags of released images to the manifest repository"},
		"url": {"https://github.com/tallyman-dev/tallyman"}, "public": {"false"},
		"webhook_active": {"true"}, "webhook_url": {"https://tallyman.myshop.example/webhooks/github"},
		"events[]": {"repository_dispatch", "pull_request", "pull_request_review", "push"},
		"contents": {"write"}, "deployments": {"write"}, "metadata": {"read"}, "pull_requests": {"write"},
	}
	if diff := cmp.Diff(want, address.Query()); diff != "" {
		t.Errorf("what is filled in (-want +got):\n%s", diff)
	}
	checkSnippet(t, out)

	out, err = runRoot(t, "app", "setup", "--name", "My Tallyman", "--url", "https://tallyman.myshop.example")
	if where := "https://github.com/settings/apps/my-tallyman/installations"; err != nil || !strings.Contains(out, where) {
		t.Errorf("it does not lead to %s: %v\n%s", where, err, out)
	}
}

// checkSnippet sees that the lines for tallyman.yaml are fields that exist.
func checkSnippet(t *testing.T, out string) {
	t.Helper()
	start, end := strings.Index(out, "\nmanifests:\n"), strings.Index(out, "\n6. ")
	if start < 0 || end < 0 {
		t.Fatalf("no lines for tallyman.yaml:\n%s", out)
	}
	text := strings.NewReplacer("APP_ID", "1234", "manifests:\n", "manifests:\n  url: https://github.com/myshop/myshop-manifests.git\n").Replace(out[start:end]) +
		"store: sqlite:///var/lib/tallyman/tallyman.db\nenvironments: {dev: {tags: {match: main-.*}}}\napps: {myshop-api: {}}\n"
	if _, err := config.Parse([]byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestAppPage posts exactly the manifest, for which GitHub must know every
// permission and event.
func TestAppPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.html")
	out, err := runRoot(t, "app", "setup", "--org", "myshop", "--url", "https://tallyman.myshop.example", "--page", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{file, "https://tallyman.myshop.example/app-created?code=CODE", "gh api --method POST app-manifests/CODE/conversions",
		"https://github.com/organizations/myshop/settings/apps/myshop-tallyman/installations"} {
		if !strings.Contains(out, step) {
			t.Errorf("the steps do not say %s:\n%s", step, out)
		}
	}
	checkSnippet(t, out)
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile(`(?s)<form action="([^"]*)" method="post">.*<textarea name="manifest"[^>]*>(.*)</textarea>`).FindSubmatch(page)
	if parts == nil || string(parts[1]) != "https://github.com/organizations/myshop/settings/apps/new" {
		t.Fatalf("the form is\n%s", page)
	}
	published, err := os.ReadFile("../../deploy/github-app/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal([]byte(html.UnescapeString(string(parts[2]))), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(published, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the manifest (-deploy/ +page):\n%s", diff)
	}
	app, err := deploy.NewGitHubApp("x", "https://tallyman.myshop.example")
	if err != nil {
		t.Fatal(err)
	}
	permissions, err := json.Marshal(app.Permissions)
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(permissions))
	strict.DisallowUnknownFields()
	if err := strict.Decode(new(github.InstallationPermissions)); err != nil {
		t.Error(err)
	}
	for _, event := range app.Events {
		if !slices.Contains(github.MessageTypes(), event) {
			t.Errorf("%s is no event", event)
		}
	}
}

func TestAppSetupRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"app"},
		{"app", "setup"},
		{"app", "setup", "--url", "http://tallyman.myshop.example"},
		{"app", "setup", "--url", "https://tallyman.myshop.example/path"},
		{"app", "setup", "--url", "https://user:secret@tallyman.myshop.example"},
		{"app", "setup", "--url", "https://tallyman.myshop.example", "--org", "my shop"},
		{"app", "setup", "--url", "https://tallyman.myshop.example", "--github", "github.com"},
		{"app", "setup", "--url", "https://tallyman.myshop.example", "--org", "an-organization-of-26-signs"},
	} {
		if out, err := runRoot(t, args...); exitCode(err) != exitBadInput {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
