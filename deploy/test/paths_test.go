package test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const pathsConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests: {url: "http://127.0.0.1:1/nobody.git"}
sources:
  github: {secretFiles: [%[1]s/secret]}
  eventbridge: {secretFiles: [%[1]s/secret]}
  sns: {topics: ["arn:aws:sns:ap-northeast-2:123456789012:tallyman-sns"]}
api: {tokens: [{name: ci, file: %[1]s/secret}]}
access:
  - {who: {dispatch: {repository: myshop/myshop-api, repositoryID: 901234567}}, may: [order], apps: [myshop-api], environments: [dev]}
  - {who: {push: {source: eventbridge}}, may: [order], apps: [myshop-api], environments: [dev]}
  - {who: {push: {source: sns}}, may: [order], apps: [myshop-api], environments: [dev]}
  - {who: {token: ci}, may: [read, order], environments: [dev]}
environments: {dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}}
apps: {myshop-api: {}}
`

// TestPathsExist asks a running tallyman for every path that deploy/ sends
// something to.
func TestPathsExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"secret": "this-is-not-a-real-secret", "tallyman.yaml": strings.ReplaceAll(pathsConfig, "%[1]s", dir)})
	at := serve(t, filepath.Join(dir, "tallyman.yaml"))
	for _, path := range usedPaths(t) {
		answer, err := http.Post("http://"+at.Listen+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if !slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, answer.StatusCode) {
			t.Errorf("POST %s without a credential is answered %s", path, answer.Status)
		}
	}
	for path, listener := range map[string]string{"/livez": at.Probes, "/readyz": at.Probes, "/metrics": at.Admin} { // of the chart's probes and ServiceMonitor
		answer, err := http.Get("http://" + listener + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("GET %s is answered %s", path, answer.Status)
		}
		if elsewhere, err := http.Get("http://" + at.Listen + path); err != nil || elsewhere.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s is on the public listener, too: %v", path, err)
		}
	}
}

// usedPaths are the paths of tallyman's that stand anywhere in deploy/.
func usedPaths(t *testing.T) []string {
	t.Helper()
	path := regexp.MustCompile(`/(?:webhooks|api/v1)/[a-z]+`)
	var found []string
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "test" && file != ".." {
			return filepath.SkipDir
		}
		if entry.IsDir() {
			return nil
		}
		text, err := os.ReadFile(file)
		found = append(found, path.FindAllString(string(text), -1)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if want := []string{"/api/v1/health", "/api/v1/updates", "/webhooks/ecr", "/webhooks/github", "/webhooks/sns"}; !slices.Equal(found, want) {
		t.Errorf("the paths are %v, not %v: is this test blind?", found, want)
	}
	return found
}
