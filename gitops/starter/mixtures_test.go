package starter

import "strings"

// mixtures are repositories in which not all apps are alike.
var mixtures = []variant{
	{
		name: "Deployments whose images have no pattern",
		files: each("{env}/{app}.yaml", func(app, env string) string {
			image := map[string]string{"cart": "registry.example/shop/cart", "search": "ghcr.io/find/search"}[app]
			return "kind: Deployment\nmetadata: {name: " + app + "}\nspec: {template: {spec: {containers: [{name: " + app + ", image: \"" + image + ":" + tags(env) + "\"}]}}}\n" +
				"---\nkind: Service\nmetadata: {name: " + app + "}\n"
		}, twoApps, "dev", "prod"),
		want: []layout{{"{env}/{app}.yaml", `select(.kind == "Deployment") | .spec.template.spec.containers[] | select(.name == "{app}") | .image = {repository}:{tag}`, "", "cart search"}},
		apps: "apps:\n  cart:\n    repository: registry.example/shop/cart\n  search:\n    repository: ghcr.io/find/search\n",
	},
	{
		name: "overlays whose images have no pattern",
		files: each("{app}/overlays/{env}/kustomization.yaml", func(app, env string) string {
			return overlay(app, map[string]string{"cart": "registry.example/shop/cart", "search": "ghcr.io/find/search"}[app], tags(env))
		}, twoApps, "dev", "prod"),
		want: []layout{{"{app}/overlays/{env}/kustomization.yaml", "kustomize", `.images[] | select(.name == "{app}") | .newName`, "cart search"}},
	},
	{
		name: "one app with another key",
		files: merged(
			each("charts/{app}/values-{env}.yaml", helmOf("registry.example/"), []string{"cart", "search", "blog"}, "dev", "prod"),
			each("charts/{app}/values-{env}.yaml", func(app, env string) string {
				return "server:\n  " + strings.ReplaceAll(strings.TrimSpace(helmOf("registry.example/")(app, env)), "\n", "\n  ") + "\n"
			}, []string{"api"}, "dev", "prod"),
		),
		want: []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "api blog cart search"}},
		apps: "apps:\n  api:\n    set:\n      - key: .server.image.tag\n",
	},
	{
		name: "one app with another image",
		files: merged(
			each("charts/{app}/values-{env}.yaml", func(_, env string) string { return helm(tags(env)) }, []string{"cart", "search", "blog", "web"}, "dev", "prod"),
			each("charts/{app}/values.yaml", func(app, _ string) string { return "image: {repository: registry.example/" + app + "}\n" }, []string{"cart", "search", "blog"}, ""),
			tree{"charts/web/values.yaml": "image: {repository: ghcr.io/front/storefront}\n"},
		),
		want: []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "blog cart search web"}},
		apps: "apps:\n  web:\n    repository: ghcr.io/front/storefront\n",
	},
	{
		name: "regions below environments",
		files: merged(
			each("clusters/{env}/eu/{app}/values.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
			each("clusters/{env}/us/{app}/values.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
		),
		want: []layout{{"clusters/{env}/eu/{app}/values.yaml", "helm", "registry.example/{app}", "cart search"}},
		note: "left out, since clusters/{env}/eu/{app}/values.yaml has the same apps, too; where both change at once list one under also: clusters/dev/us/cart/values.yaml",
	},
	{
		name: "Flux image markers",
		files: each("clusters/{env}/{app}.yaml", func(app, env string) string {
			return "kind: HelmRelease\nmetadata: {name: " + app + "}\nspec:\n  values:\n    image:\n      repository: ghcr.io/myshop/" + app + "\n      tag: " + tags(env) + ` # {"$imagepolicy": "flux-system:` + app + ":tag\"}\n"
		}, twoApps, "dev", "prod"),
		want: []layout{{"clusters/{env}/{app}.yaml", ".spec.values.image.tag", "ghcr.io/myshop/{app}", "cart search"}},
		note: "Flux's image automation writes tags here, too (clusters/dev/cart.yaml, clusters/dev/search.yaml, clusters/prod/cart.yaml, clusters/prod/search.yaml)",
	},
	{
		name: "two images in each file",
		files: each("charts/{app}/values-{env}.yaml", func(app, env string) string {
			return "api:\n  image: {repository: registry.example/" + app + ", tag: " + tags(env) + "}\nmigrate:\n  image: {repository: registry.example/migrate-" + app + ", tag: " + tags(env) + "}\n"
		}, twoApps, "dev", "prod"),
		want: []layout{{"charts/{app}/values-{env}.yaml", ".api.image.tag", "registry.example/{app}", "cart search"}},
		note: "left out, since an app has one image, and its tag is at .api.image.tag: charts/cart/values-dev.yaml",
	},
	{
		name: "a repository of one environment, in which one app is called as one",
		files: merged(
			each("services/shop/{app}/values.yaml", func(app, _ string) string { return named("registry.example/"+app, "1.0.0") }, []string{"cart", "search", "blog", "api"}, ""),
			tree{"services/tools/agent-preview/values.yaml": named("registry.example/agent", "1.2.0")},
		),
		want: []layout{{"services/shop/{app}/values.yaml", "helm", "registry.example/{app}", "api blog cart search"}},
		note: "few files have the name of an environment, and are left out: services/tools/agent-preview/values.yaml",
	},
	{
		name: "workflows beside apps",
		files: merged(
			each("apps/{env}/{app}.yaml", helmOf("registry.example/"), twoApps, "dev", "prod"),
			tree{"workflows/test-smoke.yaml": "kind: WorkflowTemplate\nspec: {templates: [{name: curl, script: {image: \"tools.example/curl:8.1.0\"}}]}\n"},
		),
		want: []layout{{"apps/{env}/{app}.yaml", "helm", "registry.example/{app}", "cart search"}},
	},
	{
		name: "an app that key and file name",
		files: each("{env}/{app}-dep.yaml", func(app, env string) string {
			return "kind: Deployment\nmetadata: {name: " + app + "}\nspec: {template: {spec: {containers: [{name: " + app + ", image: \"registry.example/" + app + ":" + tags(env) + "\"}]}}}\n"
		}, twoApps, "dev", "prod"),
		want: []layout{{"{env}/{app}-dep.yaml", `.spec.template.spec.containers[] | select(.name == "{app}") | .image = {repository}:{tag}`, "registry.example/{app}", "cart search"}},
	},
	{
		name: "no environment, where one stands",
		files: merged(
			each("charts/{app}/values-{env}.yaml", func(app, env string) string { return named("registry.example/"+app, tags(env)) }, twoApps, "dev", "prod"),
			tree{"charts/cart/values-base.yaml": "replicas: 2\n", "charts/search/values-schema.yaml": "type: object\n"},
		),
		want: []layout{{"charts/{app}/values-{env}.yaml", "helm", "registry.example/{app}", "cart search"}},
	},
	{
		name: "no environment, where one stands behind an app",
		files: merged(
			each("apps/{app}-{env}.yaml", func(app, env string) string {
				return named("registry.example/"+app, tags(strings.TrimSuffix(env, "-eu")))
			}, []string{"cart", "cart-api"}, "dev", "prod-eu"),
			tree{"apps/cart-base.yaml": "replicas: 2\n", "apps/cart-eu.yaml": "replicas: 3\n"},
		),
		want: []layout{{"apps/{app}-{env}.yaml", "helm", "registry.example/{app}", "cart cart-api"}},
	},
}
