// Package deploy has what users apply around the service. Most of it is not for
// the program; this is the part that it reads itself.
package deploy

import (
	"embed"
	"encoding/json"
	"io/fs"
)

// The prefix all: takes in .github and templates/_pod.tpl, too.
//
//go:embed all:manifests-example
//go:embed github-app/manifest.json
var files embed.FS

// Manifests returns the files of the sample manifest repository by their paths in
// it.
func Manifests() (map[string]string, error) {
	manifests := make(map[string]string)
	root, err := fs.Sub(files, "manifests-example")
	if err != nil {
		return nil, err
	}
	return manifests, fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		manifests[path] = string(text)
		return err
	})
}

// GitHubApp is a GitHub App's manifest: what GitHub is given to make one. Source of
// its form: GitHub's documentation, "Registering a GitHub App from a manifest".
type GitHubApp struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	URL         string            `json:"url"`
	Hook        GitHubHook        `json:"hook_attributes"`
	RedirectURL string            `json:"redirect_url"` // where the browser is sent with a code, after the App was made
	Public      bool              `json:"public"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
}

// GitHubHook is where an App's events are sent.
type GitHubHook struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// NewGitHubApp returns the manifest for a tallyman at base, such as
// https://tallyman.myshop.example.
func NewGitHubApp(name, base string) (GitHubApp, error) {
	var app GitHubApp
	text, err := files.ReadFile("github-app/manifest.json")
	if err == nil {
		err = json.Unmarshal(text, &app)
	}
	app.Name, app.Hook.URL, app.RedirectURL = name, base+"/webhooks/github", base+"/app-created"
	return app, err
}
