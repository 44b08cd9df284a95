package starter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layout is what is expected of a proposal: the entries, with what they find.
type layout struct {
	file, set, image string
	apps             string
}

// variant is a repository and what is proposed for it.
type variant struct {
	name  string
	files tree
	want  []layout
	note  string // a part of the summary
	apps  string // of the proposal
}

// helm is a values file with a tag.
func helm(tag string) string { return "image:\n  tag: " + tag + "\n" }

// named is one with its image, too.
func named(image, tag string) string {
	return "image:\n  repository: " + image + "\n  tag: " + tag + "\n"
}

// overlay is a kustomization with an image.
func overlay(name, newName, tag string) string {
	text := "kind: Kustomization\nimages:\n  - name: " + name + "\n"
	if newName != "" {
		text += "    newName: " + newName + "\n"
	}
	return text + "    newTag: " + tag + "\n"
}

// each makes a file of every app in every environment.
func each(pattern string, text func(app, env string) string, apps []string, environments ...string) tree {
	files := make(tree)
	for _, app := range apps {
		for _, env := range environments {
			files[strings.NewReplacer("{app}", app, "{env}", env).Replace(pattern)] = text(app, env)
		}
	}
	return files
}

func merged(trees ...tree) tree {
	all := make(tree)
	for _, files := range trees {
		for path, text := range files {
			all[path] = text
		}
	}
	return all
}

func tags(env string) string {
	return map[string]string{"dev": "main-1a2b3c4", "staging": "1.1.0-rc.1", "prod": "1.0.0", "production": "1.0.0"}[env]
}

func helmOf(registry string) func(app, env string) string {
	return func(app, env string) string { return named(registry+strings.ToLower(app), tags(env)) }
}

var (
	twoApps  = []string{"cart", "search"}
	variants = []variant{
		{
			name: "two layouts in one repository",
			files: merged(
				each("charts/{app}/values-{env}.yaml", helmOf("ghcr.io/myshop/"), twoApps, "dev", "prod"),
				each("apps/{app}/overlays/{env}/kustomization.yaml", func(app, env string) string { return overlay(app, "ghcr.io/myshop/"+app, tags(env)) }, []string{"web", "admin"}, "dev", "prod"),
			),
			want: []layout{
				{"apps/{app}/overlays/{env}/kustomization.yaml", "kustomize", "ghcr.io/myshop/{app}", "admin web"},
				{"charts/{app}/values-{env}.yaml", "helm", "ghcr.io/myshop/{app}", "cart search"},
			},
		},
		{
			name: "directories of teams",
			files: merged(
				each("teams/checkout/{app}/values-{env}.yaml", helmOf("registry.example/"), []string{"cart", "payment"}, "dev", "prod"),
				each("teams/content/{app}/values-{env}.yaml", helmOf("registry.example/"), []string{"search", "blog"}, "dev", "prod"),
			),
			want: []layout{{"teams/*/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "blog cart payment search"}},
		},
		{
			name:  "capitals in names",
			files: each("charts/{app}/values-{env}.yaml", helmOf("registry.example/"), []string{"OrderService", "Billing"}, "dev", "prod"),
			want:  []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "Billing OrderService"}},
		},
		{
			name:  "one environment that nothing names",
			files: each("charts/{app}/values.yaml", helmOf("registry.example/"), twoApps, "prod"),
			want:  []layout{{"charts/{app}/values.yaml", "helm", "registry.example/{app}", "cart search"}},
			note:  "no path names an environment: there is one, called prod here",
		},
		{
			name:  "one environment that the files name",
			files: each("{env}/{app}.yaml", helmOf("registry.example/"), twoApps, "production"),
			want:  []layout{{"{env}/{app}.yaml", "helm", "registry.example/{app}", "cart search"}},
		},
		{
			name:  "no images at all",
			files: tree{"README.md": "# Hello\n", "config/dev/settings.yaml": "debug: true\nlevel: 3\n"},
			note:  "found: no file with the tag of an image",
		},
		{
			name: "defaults beside one environment's values",
			files: merged(
				each("{app}/values.yaml", func(app, _ string) string { return named("registry.example/"+app, "main-1a2b3c4") }, twoApps, ""),
				each("{app}/values-prod.yaml", func(string, string) string { return helm("1.0.0") }, twoApps, ""),
			),
			want: []layout{{"{app}/values-{env}.yaml", "helm", "registry.example/{app}", "cart search"}},
			note: "tags in files that name no environment are what charts fall back to, or an environment's: cart/values.yaml, search/values.yaml",
		},
		{
			name: "JSON",
			files: each("services/{app}/{env}.json", func(app, env string) string {
				return fmt.Sprintf(`{"image": {"repository": "registry.example/%s", "tag": %q}}`, app, tags(env))
			}, twoApps, "dev", "prod"),
			want: []layout{{"services/{app}/{env}.json", "helm", "registry.example/{app}", "cart search"}},
		},
		{
			name: "a library chart and a chart without an image",
			files: merged(
				each("charts/{app}/values-{env}.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
				each("charts/{app}/values-{env}.yaml", func(string, string) string { return "rules: []\n" }, []string{"alerts"}, "dev", "prod"),
				tree{"charts/_lib/values-dev.yaml": "x: y\n"},
			),
			want: []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "cart search"}},
		},
		{
			name: "environments above apps, and a region",
			files: merged(
				each("environments/{env}/{app}/values.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
				each("environments/prod-eu/{app}/values.yaml", func(app, _ string) string { return named("registry.example/"+app, "1.0.0") }, twoApps, ""),
			),
			want: []layout{{"environments/{env}/{app}/values.yaml", "helm", "registry.example/{app}", "cart search"}},
		},
		{
			name: "an app named by the file",
			files: merged(
				each("apps/{env}/{app}-values.yaml", func(app, env string) string {
					return "kind: HelmRelease\nmetadata: {name: " + app + "}\nspec:\n  values:\n    image: {tag: " + tags(env) + "}\n"
				}, twoApps, "staging", "production"),
				each("apps/base/{app}/release.yaml", func(app, _ string) string {
					return "kind: HelmRelease\nmetadata: {name: " + app + "}\nspec:\n  values:\n    image: {repository: ghcr.io/myshop/" + app + "}\n"
				}, twoApps, ""),
			),
			want: []layout{{"apps/{env}/{app}-values.yaml", ".spec.values.image.tag", "ghcr.io/myshop/{app}", "cart search"}},
		},
		{
			name: "plain Deployments",
			files: each("{env}/{app}/deployment.yaml", func(app, env string) string {
				return "kind: Deployment\nmetadata: {name: " + app + "}\nspec:\n  template:\n    spec:\n      containers:\n        - {name: proxy, image: envoyproxy/envoy:v1.31.0}\n" +
					"        - name: " + app + "\n          image: registry.example/" + app + ":" + tags(env) + "\n"
			}, twoApps, "dev", "prod"),
			want: []layout{{"{env}/{app}/deployment.yaml", `.spec.template.spec.containers[] | select(.name == "{app}") | .image = {repository}:{tag}`, "registry.example/{app}", "cart search"}},
			note: "images of others are left alone: envoyproxy/envoy",
		},
		{
			name: "Applications with parameters",
			files: each("argocd/{app}-{env}.yaml", func(app, env string) string {
				return "kind: Application\nmetadata: {name: " + app + "-" + env + "}\nspec:\n  source:\n    helm:\n      parameters:\n        - {name: replicas, value: \"2\"}\n        - {name: image.tag, value: " + tags(env) + "}\n"
			}, twoApps, "dev", "prod"),
			want: []layout{{"argocd/{app}-{env}.yaml", `.spec.source.helm.parameters[] | select(.name == "image.tag") | .value`, "", "cart search"}},
		},
		{
			name: "parameters with the image",
			files: each("argocd/{env}/{app}.yaml", func(app, env string) string {
				return "kind: Application\nspec:\n  source:\n    helm:\n      parameters:\n        - {name: web.image.tag, value: " + tags(env) + "}\n        - {name: web.image.repository, value: registry.example/" + app + "}\n"
			}, twoApps, "dev", "prod"),
			want: []layout{{"argocd/{env}/{app}.yaml", `.spec.source.helm.parameters[] | select(.name == "web.image.tag") | .value`, "registry.example/{app}", "cart search"}},
		},
		{
			name: "an umbrella chart with a database, and an image for all",
			files: each("shop/values-{env}.yaml", func(_, env string) string {
				text := "global:\n  image: {tag: " + tags(env) + "}\nredis:\n  image: {repository: bitnami/redis, tag: 7.4.1}\n"
				for _, app := range twoApps {
					text += app + ":\n  image: {repository: registry.example/" + app + ", tag: " + tags(env) + "}\n"
				}
				return text
			}, []string{""}, "dev", "prod"),
			want: []layout{{"shop/values-{env}.yaml", ".{app}.image.tag", "registry.example/{app}", "cart global redis search"}},
			note: "the key of shop/values-{env}.yaml finds these, too, which may be no apps of yours: global, redis",
		},
		{
			name: "Applications with values in a block",
			files: each("argocd/{env}/{app}.yaml", func(app, env string) string {
				return "kind: Application\nmetadata: {name: " + app + "}\nspec:\n  source:\n    helm:\n      values: |\n        image:\n          repository: registry.example/" + app + "\n          tag: " + tags(env) + "\n"
			}, twoApps, "dev", "prod"),
			want: []layout{{"argocd/{env}/{app}.yaml", ".spec.source.helm.values > .image.tag", "registry.example/{app}", "cart search"}},
		},
		{
			name: "a registry for each environment",
			files: each("charts/{app}/values-{env}.yaml", func(app, env string) string {
				account := map[string]string{"dev": "111111111111", "prod": "222222222222"}[env]
				return "image:\n  registry: " + account + ".dkr.ecr.eu-west-1.amazonaws.com\n  repository: shop/" + app + "\n  tag: " + tags(env) + "\n"
			}, twoApps, "dev", "prod"),
			want: []layout{
				{"charts/{app}/values-{env}.yaml", "helm", "111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop/{app}", "cart search"},
				{"charts/{app}/values-{env}.yaml", "helm", "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/{app}", "cart search"},
			},
		},
		{
			name: "environments as keys of one file",
			files: each("apps/{app}.yaml", func(app, _ string) string {
				return "environments:\n  dev:\n    image: {repository: registry.example/" + app + ", tag: main-1a2b3c4}\n  prod:\n    image: {repository: registry.example/" + app + ", tag: 1.0.0}\n"
			}, twoApps, ""),
			want: []layout{{"apps/{app}.yaml", ".environments.{env}.image.tag", "registry.example/{app}", "cart search"}},
		},
		{
			name: "the same tag at two keys",
			files: each("charts/{app}/values-{env}.yaml", func(app, env string) string {
				image := "    repository: registry.example/" + app + "\n    tag: " + tags(env) + "\n"
				return "web:\n  image:\n" + image + "worker:\n  image:\n" + image
			}, twoApps, "dev", "prod"),
			want: []layout{{"charts/{app}/values-{env}.yaml", ".web.image.tag, .worker.image.tag", "registry.example/{app}", "cart search"}},
		},
		{
			name: "a tag and a digest",
			files: each("charts/{app}/values-{env}.yaml", func(app, env string) string {
				return helmOf("registry.example/")(app, env) + "  digest: sha256:" + strings.Repeat("0a", 32) + "\n"
			}, twoApps, "dev", "prod"),
			want: []layout{{"charts/{app}/values-{env}.yaml", "helm-digest", "registry.example/{app}", "cart search"}},
		},
		{
			name: "hostile YAML beside good files",
			files: merged(
				each("charts/{app}/values-{env}.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
				tree{
					"charts/bomb/values-dev.yaml":  "a: &a [x,x,x,x,x,x,x,x,x]\n" + strings.Repeat("b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n", 3),
					"charts/deep/values-dev.yaml":  strings.Repeat("[", 100_000),
					"charts/bytes/values-dev.yaml": "image: {tag: \x00\xff}\n",
					"charts/tabs/values-dev.yaml":  "image:\n\ttag: v1\n",
				},
			),
			want: []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "cart search"}},
			note: "note: charts/tabs/values-dev.yaml cannot be read, and is left out: ",
		},
		{
			name:  "tools that are not understood",
			files: tree{"environments/dev/main.jsonnet": "{}", "lib/k.libsonnet": "{}", "cdk8s.yaml": "language: go\n"},
			note:  "Jsonnet is not understood (environments/dev/main.jsonnet, lib/k.libsonnet)",
		},
	}
)

func TestVariants(t *testing.T) {
	t.Parallel()
	for _, v := range slices.Concat(variants, mixtures) {
		t.Run(v.name, func(t *testing.T) {
			f := v.files.find()
			var got []layout
			for _, e := range f.entries {
				set := strings.Join(append([]string{e.key}, e.more...), ", ")
				if e.inside != "" {
					set = e.inside + " > " + set
				}
				if e.value == referenceValue {
					set += " = " + e.value
				}
				apps := make(map[string]bool)
				for _, t := range e.sites {
					apps[t.app] = true
				}
				got = append(got, layout{e.file, set, e.repository + e.repositoryKey, strings.Join(sorted(apps), " ")})
			}
			if diff := cmp.Diff(v.want, got, cmp.AllowUnexported(layout{})); diff != "" {
				t.Errorf("%s\n%s", diff, f.Summary())
			}
			if text := string(f.Configuration(about)); !strings.HasSuffix(text, v.apps) {
				t.Errorf("the proposal does not end in %q:\n%s", v.apps, text)
			}
			if !strings.Contains(f.Summary(), v.note) {
				t.Errorf("the summary does not have %q:\n%s", v.note, f.Summary())
			}
		})
	}
}
