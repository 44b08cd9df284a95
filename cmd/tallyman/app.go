package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/deploy"
)

func newApp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "app",
		Short: "Set up the GitHub App",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return badInput{errors.New("app needs a command: tallyman app setup")}
		},
	}
	cmd.AddCommand(newAppSetup())
	return cmd
}

// longestAppName is GitHub's limit. Source: GitHub's documentation, "Registering a
// GitHub App".
const longestAppName = 34

// appSetup is what the App is made for.
type appSetup struct {
	org    string // "" for a person's own
	name   string
	url    string
	github string
	page   string
}

func newAppSetup() *cobra.Command {
	var s appSetup
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Print the URL and the steps to make the GitHub App",
		Long: `Print the address at which GitHub makes the App with everything filled in, and the
steps from there to a configuration. --page writes a page instead, whose one button
gives GitHub the App's manifest: GitHub then makes the webhook secret and the private
key as well. This command sends nothing.`,
		Example: `  tallyman app setup --org myshop --url https://tallyman.myshop.example
  tallyman app setup --org myshop --url https://tallyman.myshop.example --page app.html`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&s.org, "org", "", "`organization` that owns the App (default: your own account)")
	cmd.Flags().StringVar(&s.name, "name", "", "`name` of the App, unique on GitHub (default: ORG-tallyman)")
	cmd.Flags().StringVar(&s.url, "url", "", "public address of tallyman, `https://HOST` (required)")
	cmd.Flags().StringVar(&s.github, "github", "https://github.com", "`address` of GitHub, for a GitHub Enterprise Server")
	cmd.Flags().StringVar(&s.page, "page", "", "`file` to write the manifest's page to")
	return cmd
}

func (s *appSetup) run(out io.Writer) error {
	for flag, address := range map[string]*string{"--url": &s.url, "--github": &s.github} {
		*address = strings.TrimSuffix(*address, "/")
		if u, err := url.Parse(*address); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return badInput{fmt.Errorf("%s must be https:// and a host", flag)}
		}
	}
	if s.org != url.PathEscape(s.org) || strings.Contains(s.org, "/") {
		return badInput{errors.New("--org must be the name of an organization")}
	}
	if s.name == "" {
		s.name = strings.TrimPrefix(s.org+"-tallyman", "-")
	}
	if len(s.name) > longestAppName {
		return badInput{fmt.Errorf("--name must have at most %d characters, and %s has %d", longestAppName, s.name, len(s.name))}
	}
	app, err := deploy.NewGitHubApp(s.name, s.url)
	if err != nil {
		return err
	}
	if s.page == "" {
		return appSteps.Execute(out, map[string]any{"Address": s.filledIn(app), "App": app, "Own": s.own(), "Slug": s.slug()})
	}
	if err := s.writePage(app); err != nil {
		return err
	}
	return pageSteps.Execute(out, map[string]any{"Page": s.page, "App": app, "API": s.api(), "Own": s.own(), "Slug": s.slug()})
}

// newAppAddress is where GitHub makes Apps.
func (s *appSetup) newAppAddress() string {
	if s.org == "" {
		return s.github + "/settings/apps/new"
	}
	return s.github + "/organizations/" + s.org + "/settings/apps/new"
}

// filledIn is the same with the App in the query. Source: GitHub's documentation,
// "Registering a GitHub App using URL parameters".
func (s *appSetup) filledIn(app deploy.GitHubApp) string {
	query := url.Values{
		"name": {app.Name}, "description": {app.Description}, "url": {app.URL}, "public": {"false"},
		"webhook_active": {"true"}, "webhook_url": {app.Hook.URL}, "events[]": app.Events,
	}
	for _, permission := range slices.Sorted(maps.Keys(app.Permissions)) {
		query.Set(permission, app.Permissions[permission])
	}
	return s.newAppAddress() + "?" + query.Encode()
}

// slug is the App's name in addresses.
func (s *appSetup) slug() string {
	return strings.ToLower(strings.ReplaceAll(s.name, " ", "-"))
}

// own says whose the App is, as part of an address.
func (s *appSetup) own() string {
	if s.org == "" {
		return s.github + "/settings/apps"
	}
	return s.github + "/organizations/" + s.org + "/settings/apps"
}

// api is the argument with which gh talks to a GitHub Enterprise Server.
func (s *appSetup) api() string {
	if host := strings.TrimPrefix(s.github, "https://"); host != "github.com" {
		return "--hostname " + host + " "
	}
	return ""
}

func (s *appSetup) writePage(app deploy.GitHubApp) error {
	manifest, err := json.MarshalIndent(app, "", "  ")
	if err != nil {
		return err
	}
	var page strings.Builder
	if err := appPage.Execute(&page, map[string]any{"Address": s.newAppAddress(), "Manifest": string(manifest), "Name": app.Name}); err != nil {
		return err
	}
	return os.WriteFile(s.page, []byte(page.String()), 0o644)
}

// appPage posts the manifest. Source of the form: GitHub's documentation,
// "Registering a GitHub App from a manifest".
var appPage = template.Must(template.New("").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Make the GitHub App {{.Name}}</title>
<h1>Make the GitHub App {{.Name}}</h1>
<p>The button gives this to {{.Address}}:</p>
<form action="{{.Address}}" method="post">
<textarea name="manifest" rows="20" cols="90" readonly>{{.Manifest}}</textarea>
<p><button>Go to GitHub</button></p>
</form>
`))
