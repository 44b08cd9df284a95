package starter

import (
	"path"
	"slices"
	"strings"
)

// What stands for the names in patterns.
const (
	appName = "{app}"
	envName = "{env}"
)

// site is a spot whose path and key are taken apart into texts: the path's segments, the
// last of them without its ending, and then the names and values in the key. Which of
// them name the app and the environment is what is to be found out.
type site struct {
	spot
	texts    []string
	segments int // how many of the texts are the path's
	ending   string

	environment string
	envAt       int // index of the text with the environment
	env         part
	app         string
	appAt       int
}

func newSite(s spot) *site {
	t := &site{spot: s, texts: strings.Split(s.path, "/"), envAt: -1, appAt: -1}
	t.segments = len(t.texts)
	t.ending = path.Ext(s.path)
	t.texts[t.segments-1] = strings.TrimSuffix(t.texts[t.segments-1], t.ending)
	for _, key := range [][]step{s.inside, s.key} {
		for _, step := range key {
			if !step.list && len(step.fields) == 0 {
				t.texts = append(t.texts, step.name)
			}
			for _, f := range step.fields {
				t.texts = append(t.texts, f.value)
			}
		}
	}
	t.findEnvironment()
	return t
}

// findEnvironment finds the environment in the path, and else in the key.
func (t *site) findEnvironment() {
	if at, ok := environmentOfPath(strings.Split(t.path, "/")); ok && isName(at.name) {
		at.after = strings.TrimSuffix(at.after, t.ending)
		t.environment, t.envAt, t.env = at.name, at.segment, at.part
		return
	}
	names := t.fieldNames()
	for i := t.segments; i < len(t.texts); i++ {
		field := names[i-t.segments]
		if isName(t.texts[i]) && (slices.Contains(itemEnvironments, field) || field == "" && stageOf(t.texts[i]) >= 0) {
			t.environment, t.envAt, t.env = t.texts[i], i, part{name: t.texts[i]}
			return
		}
	}
}

// fieldNames has for each text of the key the field that it is of; empty for a map's key.
func (t *site) fieldNames() (names []string) {
	for _, key := range [][]step{t.inside, t.key} {
		for _, step := range key {
			if !step.list && len(step.fields) == 0 {
				names = append(names, "")
			}
			for _, f := range step.fields {
				names = append(names, f.key)
			}
		}
	}
	return names
}

// shape is what sites of one layout have in common, whatever their names are.
func (t *site) shape() string {
	var b strings.Builder
	b.WriteString(strings.Repeat("/", t.segments))
	b.WriteString(t.ending + string(rune('0'+t.envAt)))
	if t.envAt < t.segments-1 {
		b.WriteString(t.env.before + "*" + t.env.after)
	}
	for _, key := range [][]step{t.inside, t.key} {
		b.WriteString("|")
		for _, step := range key {
			b.WriteString(".")
			if step.list {
				b.WriteString("[]")
			}
			for _, f := range step.fields {
				b.WriteString("=" + f.key)
			}
		}
	}
	return b.String() + t.value
}

// words are parts of files' names that say what is in a file, and not whose it is.
var words = []string{
	"values", "value", "kustomization", "release", "helmrelease", "helm", "hr", "deployment", "deploy", "deployments", "application", "app", "config",
	"image", "images", "patch", "patches", "version", "versions", "tag", "tags", "main", "index", "set", "override", "overrides", "env", "environment", "params",
	"statefulset", "daemonset", "cronjob", "rollout", "manifest", "all", "secrets", "k8s", "applicationset", "appset", "applicationsets", "services", "apps", "list", "workload",
}

// directories are names that stand above apps, and are none.
var directories = []string{
	"apps", "app", "charts", "chart", "helm", "helmfiles", "overlays", "overlay", "environments", "environment", "envs", "env", "clusters", "cluster", "k8s",
	"kubernetes", "manifests", "deploy", "deployment", "deployments", "services", "service", "kustomize", "infra", "infrastructure", "gitops", "argocd", "argo",
	"flux", "releases", "values", "workloads", "base", "config", "teams", "projects", "applications", "stages", "namespaces", "src", "applicationsets", "appsets",
}

// fileApp finds the part of a file's name that names neither what is in it nor the
// environment: cart in cart-values-dev. ok is false when nothing is left.
func (t *site) fileApp() (p part, ok bool) {
	stem := t.texts[t.segments-1]
	all := pieces(stem)
	if t.envAt == t.segments-1 {
		from, to := len(t.env.before), len(t.env.before)+len(t.env.name)
		if from == 0 {
			all = slices.DeleteFunc(all, func(s span) bool { return s.from < to })
		} else {
			all = slices.DeleteFunc(all, func(s span) bool { return s.to > from })
			if len(all) == 0 || !slices.ContainsFunc(all, func(s span) bool { return !isWord(stem[s.from:s.to]) }) { // values-dev-cart
				all = slices.DeleteFunc(pieces(stem), func(s span) bool { return s.from < to })
			}
		}
	}
	for len(all) > 0 && isWord(stem[all[0].from:all[0].to]) {
		all = all[1:]
	}
	for len(all) > 0 && isWord(stem[all[len(all)-1].from:all[len(all)-1].to]) {
		all = all[:len(all)-1]
	}
	if len(all) == 0 {
		return part{}, false
	}
	from, to := all[0].from, all[len(all)-1].to
	return part{stem[:from], stem[from:to], stem[to:]}, from < to
}

func isWord(text string) bool { return slices.Contains(words, strings.ToLower(text)) }

// keyWords are names in keys that no app has.
var keyWords = []string{
	"image", "images", "tag", "newTag", "value", "spec", "values", "valuesObject", "template", "containers", "initContainers", "source", "sources", "helm", "parameters",
	"kustomize", "global", "data", "jobTemplate", "generators", "list", "elements", "environments", "envs", "deployment", "environment", "stages", "apps", "services", "components", "metadata",
	"matrix", "merge", "imageTag", "image_tag", "imageVersion", "controller", "controllers", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout", "HelmRelease", "Application", "ApplicationSet",
	"sidecar", "sidecars", "init", "defaults", "default", "common", "shared", "base",
}

// candidate is a place where the app may be named.
type candidate struct {
	at   int
	file bool // a part of the file's name
}

// appIn is the app by a candidate; ok is false when there is no name of an app.
func (t *site) appIn(c candidate) (p part, ok bool) {
	switch {
	case c.file:
		p, ok = t.fileApp()
	case c.at < t.segments-1:
		p, ok = part{name: t.texts[c.at]}, c.at != t.envAt && !isNoEnvironment(t.texts[c.at])
	case c.at >= t.segments && c.at < len(t.texts):
		field := t.fieldNames()[c.at-t.segments]
		p = part{name: t.texts[c.at]}
		ok = c.at != t.envAt && !slices.Contains(keyWords, p.name) && (field == "" || slices.Contains(itemNames, field) || field == "metadata.name") && !tagParameter.MatchString(p.name)
	}
	return p, ok && isName(p.name)
}
