package config

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// ArgoCD is one instance of Argo CD, which is asked whether what was written runs.
type ArgoCD struct {
	// URL is where its API server is, https://host and a path where it has one; http:// is
	// only for this machine. Required.
	URL string `yaml:"url"`
	// TokenFile holds a token of an account or a project role that may get the Applications,
	// and nothing else. It is read again for each request. Required.
	TokenFile string `yaml:"tokenFile"`
	// CAFile holds certificates in PEM that are trusted besides the system's. It is read
	// when the program starts and when the configuration is reloaded.
	CAFile string `yaml:"caFile"`
	// Projects are the AppProjects whose Applications are looked for. Required.
	Projects []string `yaml:"projects"`
}

// Rollout says how it is found out whether an environment runs what was written, and what
// follows from it.
type Rollout struct {
	// By is "argocd", and Argo CD is asked, "reports", and POST /api/v1/health says it, or
	// "none". Default argocd where the top level has argocd, else none.
	By string `yaml:"by" oneOf:"argocd,reports,none"`
	// Timeout is how long after it was written an update has to run, as in "30m", 1m to
	// 24h. Default 15m, where rollouts are followed.
	Timeout time.Duration `yaml:"timeout"`
	// Revert says that tallyman goes back to the tag before when an update fails to run,
	// and that tag ran in the environment. It needs a rule in access for revert. Default
	// false.
	Revert bool `yaml:"revert"`
}

// What [Rollout.By] says.
const (
	ByArgoCD  = "argocd"
	ByReports = "reports"
	byNone    = "none"
)

// Followed reports whether rollouts are followed at all.
func (r Rollout) Followed() bool { return r.By != byNone }

// Application names an Application of Argo CD, as its RBAC does.
type Application struct {
	Project   string
	Namespace string // "" for that of Argo CD itself
	Name      string
}

// String is PROJECT/NAME, or PROJECT/NAMESPACE/NAME; "" of the zero value.
func (a Application) String() string {
	switch {
	case a == Application{}:
		return ""
	case a.Namespace == "":
		return a.Project + "/" + a.Name
	}
	return a.Project + "/" + a.Namespace + "/" + a.Name
}

// ArgoCDField is the field of one instance.
func ArgoCDField(i int) string { return fmt.Sprintf("argocd[%d]", i) }

// ApplicationOf is the Application that the configuration names for an app in an
// environment; the zero value where it is found by the app's file.
func (c *Config) ApplicationOf(environment, app string) Application {
	a, _ := parseApplication(c.Apps[app].ArgoCD[environment])
	return a
}

func (r *Rollout) setDefaults(asked bool) {
	if asked {
		byDefault(&r.By, ByArgoCD)
	}
	byDefault(&r.By, byNone)
	if r.Followed() {
		byDefault(&r.Timeout, 15*time.Minute)
	}
}

// The bounds of [Rollout.Timeout].
const (
	shortestRollout = time.Minute
	longestRollout  = 24 * time.Hour
)

// checkRollouts checks the instances, how environments are followed, and the Applications
// that apps name. Whether a rule allows to revert is checked where the rules are.
func (c *Config) checkRollouts(report reporter) {
	for i, instance := range c.ArgoCD {
		instance.check(report, ArgoCDField(i))
		c.checkProjects(report, i)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		c.Environments[name].Rollout.check(report, "environments."+name+".rollout", len(c.ArgoCD) > 0)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		c.checkApplications(report, "apps."+name+".argocd", c.Apps[name])
	}
}

func (r Rollout) check(report reporter, field string, asked bool) {
	switch {
	case r.By == ByArgoCD && !asked:
		report(field+".by", "is argocd, and no Argo CD is configured: name it in argocd, at the top level, or set by: reports or by: none")
	case !r.Followed() && r.Timeout != 0:
		report(field+".timeout", "is for rollouts that are followed, and by is none: configure argocd at the top level, set by: reports, or remove the field")
	case r.Followed() && (r.Timeout < shortestRollout || r.Timeout > longestRollout):
		report(field+".timeout", "must be 1m to 24h, not %s: it is how long an update has to run after it was written", r.Timeout)
	}
	if r.Revert && !r.Followed() {
		report(field+".revert", "is for rollouts that are followed, and by is none: configure argocd at the top level, set by: reports, or remove the field")
	}
}

// check checks one instance by itself.
func (a ArgoCD) check(report reporter, field string) {
	a.checkURL(report, field+".url")
	switch {
	case a.TokenFile == "":
		report(field+".tokenFile", "is missing: a file with the token of an account or a project role that may get applications")
	case strings.HasPrefix(a.TokenFile, "eyJ"): // a JSON Web Token; paths stand in errors
		report(field+".tokenFile", "must be the path of a file that holds the token, and not the token itself")
	}
	if len(a.Projects) == 0 {
		report(field+".projects", "is missing: name the AppProjects whose Applications deploy what is written, such as [myshop]")
	}
	for i, project := range a.Projects {
		at := fmt.Sprintf("%s.projects[%d]", field, i)
		switch first := slices.Index(a.Projects, project); {
		case !isKubernetesName(project):
			report(at, "must be the name of an AppProject, of a-z 0-9 . and -, not %q: each is named, and there are no patterns", gitops.Clip(project, 100))
		case first < i:
			report(at, "%s is there already, as %s.projects[%d]: remove one of them", project, field, first)
		}
	}
}

func (a ArgoCD) checkURL(report reporter, field string) {
	u, err := url.Parse(a.URL)
	switch {
	case a.URL == "":
		report(field, "is missing: the address of Argo CD's API server, such as https://argocd.example.com")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		report(field, "must be an address such as https://argocd.example.com")
	case u.User != nil: // the address is not repeated: it holds a password
		report(field, "must not hold a user or a password: the token is in tokenFile")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		report(field, "must end before ? and #, not %q", gitops.Clip(a.URL, 200))
	case u.Scheme == "http" && !gitops.IsLoopback(u.Hostname()):
		report(field, "must be https, not %q: the token would pass the network unencrypted; http is for this machine alone", gitops.Clip(a.URL, 200))
	}
}

// checkProjects checks that no project is asked for twice: a role's token is of one project,
// so an instance may have several entries.
func (c *Config) checkProjects(report reporter, i int) {
	for n, before := range c.ArgoCD[:i] {
		if before.URL != c.ArgoCD[i].URL {
			continue
		}
		for _, project := range c.ArgoCD[i].Projects {
			if slices.Contains(before.Projects, project) {
				report(ArgoCDField(i)+".projects", "%s of %s is in %s, too: remove it from one of them", gitops.Clip(project, 100), gitops.Clip(before.URL, 200), ArgoCDField(n))
			}
		}
	}
}

// kubernetesName is a DNS subdomain (RFC 1123), as AppProjects, namespaces and Applications are named.
var kubernetesName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func isKubernetesName(name string) bool { return len(name) <= 253 && kubernetesName.MatchString(name) }

// parseApplication reads PROJECT/NAME or PROJECT/NAMESPACE/NAME.
func parseApplication(text string) (Application, bool) {
	names := strings.Split(text, "/")
	for _, name := range names {
		if !isKubernetesName(name) {
			return Application{}, false
		}
	}
	switch len(names) {
	case 2:
		return Application{Project: names[0], Name: names[1]}, true
	case 3:
		return Application{Project: names[0], Namespace: names[1], Name: names[2]}, true
	}
	return Application{}, false
}

// checkApplications checks the Applications that an app names.
func (c *Config) checkApplications(report reporter, field string, app App) {
	if app.ArgoCD != nil && len(app.ArgoCD) == 0 {
		report(field, "must name an Application for at least one environment; without the field they are found by the app's files")
	}
	for _, environment := range slices.Sorted(maps.Keys(app.ArgoCD)) {
		at, text := field+"."+environment, app.ArgoCD[environment]
		named, ok := parseApplication(text)
		in, known := c.Environments[environment]
		switch {
		case !known:
			report(at, "no environment %q is configured; there are %s", gitops.Clip(environment, 100), strings.Join(slices.Sorted(maps.Keys(c.Environments)), ", "))
		case app.Environments != nil && !slices.Contains(app.Environments, environment):
			report(at, "the app is not in %s: add it to environments of the app, or remove this", environment)
		case in.Rollout.By != ByArgoCD:
			report(at, "names an Application, and Argo CD is not asked in %s: set environments.%s.rollout.by: argocd, or remove this", environment, environment)
		case !ok:
			report(at, "must be PROJECT/APPLICATION, or PROJECT/NAMESPACE/APPLICATION for one that is not in Argo CD's own namespace, not %q", gitops.Clip(text, 200))
		case !c.asksFor(named.Project):
			report(at, "is in the project %s, which no entry of argocd names: add it to projects of the instance that has it", named.Project)
		}
	}
}

// asksFor reports whether an instance is asked for the Applications of a project.
func (c *Config) asksFor(project string) bool {
	return slices.ContainsFunc(c.ArgoCD, func(a ArgoCD) bool { return slices.Contains(a.Projects, project) })
}
