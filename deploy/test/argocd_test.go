package test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestArgoCDDefinitions holds what is applied beside the Applications against
// Argo CD's definitions.
func TestArgoCDDefinitions(t *testing.T) {
	kinds := make(map[string]int)
	type project struct {
		SourceRepos              []string
		ClusterResourceWhitelist []struct{ Group, Kind, Name string }
		Roles                    []struct {
			Name     string
			Policies []string
		}
	}
	projects := make(map[string]project)
	for _, file := range []string{"argocd/project.yaml", "argocd/root.yaml", "argocd/applicationset.yaml"} {
		for _, m := range decode(t, read(t, file)) {
			kinds[m.Kind]++
			if m.Kind == "AppProject" {
				var p struct {
					Metadata struct{ Name string }
					Spec     project
				}
				convert(t, m.raw, &p)
				projects[p.Metadata.Name] = p.Spec
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"AppProject": 3, "Application": 1, "ApplicationSet": 1}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if len(projects["default"].SourceRepos) > 0 {
		t.Error("the project default may read something")
	}
	roles := projects["myshop"].Roles
	if want := []string{"p, proj:myshop:tallyman, applications, get, myshop/*, allow"}; len(roles) != 1 || roles[0].Name != "tallyman" || !slices.Equal(roles[0].Policies, want) {
		t.Errorf("tallyman may do other things than get Applications: %+v", roles)
	}
	root := checkApplication(t, decode(t, read(t, "argocd/root.yaml"))[0])
	if !root.Spec.SyncPolicy.Retry.Refresh {
		t.Error("the root does not retry with the newest commit")
	}
	if _, err := os.Stat(filepath.Join(example, root.Spec.Source.Path)); err != nil {
		t.Error(err)
	}
	applications := append(exampleApplications(t), root)
	for _, a := range applications {
		p := projects[a.Spec.Project]
		if !slices.Contains(p.SourceRepos, a.Spec.Source.RepoURL) {
			t.Errorf("the project %s of %s may not read %s", a.Spec.Project, a.Metadata.Name, a.Spec.Source.RepoURL)
		}
		// Argo CD asks the project about the Namespace that it makes itself, too.
		made := func(r struct{ Group, Kind, Name string }) bool {
			matches, err := filepath.Match(r.Name, a.Spec.Destination.Namespace)
			return r.Group == "" && r.Kind == "Namespace" && err == nil && matches
		}
		if slices.Contains(a.Spec.SyncPolicy.SyncOptions, "CreateNamespace=true") != slices.ContainsFunc(p.ClusterResourceWhitelist, made) {
			t.Errorf("%s makes %s, or its project %s allows it, but not both", a.Metadata.Name, a.Spec.Destination.Namespace, a.Spec.Project)
		}
	}
}

func exampleApplications(t *testing.T) []application {
	t.Helper()
	var found []application
	for _, file := range glob(t, "manifests-example/applications/*.yaml") {
		for _, m := range decode(t, read(t, file)) {
			found = append(found, checkApplication(t, m))
		}
	}
	return found
}

// TestApplicationSet makes the Applications as Argo CD would, and sees that they
// are those of the manifest repository.
func TestApplicationSet(t *testing.T) {
	var set struct {
		Spec struct {
			GoTemplateOptions []string
			Generators        []struct {
				Matrix struct {
					Generators []struct {
						Git  *struct{ Directories []struct{ Path string } }
						List *struct{ Elements []map[string]any }
					}
				}
			}
			Template      map[string]any
			TemplatePatch string
		}
	}
	convert(t, decode(t, read(t, "argocd/applicationset.yaml"))[0].raw, &set)
	generators := set.Spec.Generators[0].Matrix.Generators
	directories, err := filepath.Glob(filepath.Join(example, generators[0].Git.Directories[0].Path))
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]application)
	for _, a := range exampleApplications(t) {
		want[a.Metadata.Name] = a
	}
	for _, directory := range directories {
		for _, element := range generators[1].List.Elements {
			path, _ := filepath.Rel(example, directory)
			parameters := maps.Clone(element)
			parameters["path"] = map[string]any{"path": path, "basename": filepath.Base(path)}
			made := expand(t, set.Spec.Template, parameters, set.Spec.GoTemplateOptions).(map[string]any)
			merge(made, patch(t, set.Spec.TemplatePatch, parameters))
			made["apiVersion"], made["kind"] = "argoproj.io/v1alpha1", "Application"
			text, err := yaml.Marshal(made)
			if err != nil {
				t.Fatal(err)
			}
			got := checkApplication(t, decode(t, string(text))[0])
			static := want[got.Metadata.Name]
			static.Spec.SyncPolicy.Retry.Limit, got.Spec.SyncPolicy.Retry.Limit = 0, 0 // prod's file is more patient
			if diff := cmp.Diff(static, got); diff != "" {
				t.Errorf("%s (-its file +the set):\n%s", got.Metadata.Name, diff)
			}
			delete(want, got.Metadata.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("the set does not make %v", slices.Collect(maps.Keys(want)))
	}
}

func patch(t *testing.T, text string, parameters map[string]any) map[string]any {
	t.Helper()
	var patch map[string]any
	if err := yaml.Unmarshal([]byte(execute(t, text, parameters, "missingkey=error")), &patch); err != nil {
		t.Fatal(err)
	}
	return patch
}

func merge(into, from map[string]any) {
	for key, value := range from {
		if below, ok := value.(map[string]any); ok {
			if under, ok := into[key].(map[string]any); ok {
				merge(under, below)
				continue
			}
		}
		into[key] = value
	}
}

// expand fills the texts of a template.
func expand(t *testing.T, node any, parameters any, options []string) any {
	t.Helper()
	switch n := node.(type) {
	case string:
		return execute(t, n, parameters, options...)
	case map[string]any:
		filled := make(map[string]any, len(n))
		for key := range n {
			filled[key] = expand(t, n[key], parameters, options)
		}
		return filled
	case []any:
		filled := make([]any, len(n))
		for i := range n {
			filled[i] = expand(t, n[i], parameters, options)
		}
		return filled
	}
	return node
}

func execute(t *testing.T, text string, data any, options ...string) string {
	t.Helper()
	parsed, err := template.New("").Funcs(sprig.TxtFuncMap()).Option(options...).Parse(text)
	var out bytes.Buffer
	if err == nil {
		err = parsed.Execute(&out, data)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out.String()
}

// argoValues are the values of the argo-cd chart, as far as they end up in Argo
// CD's own configuration.
type argoValues struct {
	Configs struct {
		CM, Params map[string]any
		RBAC       map[string]string
		Secret     map[string]string
	}
	Server        struct{ Ingress struct{ Enabled bool } }
	Notifications struct {
		Secret                         struct{ Create bool }
		Notifiers, Templates, Triggers map[string]string
		Subscriptions                  []struct{ Recipients, Triggers []string }
	}
}

// TestArgoCDSettings sees that each setting is one that Argo CD documents, and
// that no value is a secret.
func TestArgoCDSettings(t *testing.T) {
	var v argoValues
	if err := yaml.Unmarshal([]byte(read(t, "argocd/values.yaml")), &v); err != nil {
		t.Fatal(err)
	}
	dir, err := moduleDir(published[0].module, published[0].sum)
	if err != nil {
		t.Fatal(err)
	}
	for file, settings := range map[string][]string{
		"argocd-cm.yaml":            slices.Collect(maps.Keys(v.Configs.CM)),
		"argocd-cmd-params-cm.yaml": slices.Collect(maps.Keys(v.Configs.Params)),
		"argocd-rbac-cm.yaml":       slices.Collect(maps.Keys(v.Configs.RBAC)),
	} {
		text, err := os.ReadFile(filepath.Join(dir, "docs/operator-manual", file))
		if err != nil {
			t.Fatal(err)
		}
		if len(settings) == 0 {
			t.Errorf("nothing is set in %s", file)
		}
		for _, setting := range settings {
			documented := regexp.MustCompile(`(?m)^\s*#?\s*` + regexp.QuoteMeta(setting) + `:`)
			if !documented.Match(text) && setting != "resource.customizations.health.argoproj.io_Application" {
				t.Errorf("%s is not in Argo CD's %s", setting, file)
			}
		}
	}
	for name, value := range v.Configs.Secret {
		if !regexp.MustCompile(`^\$[\w-]+:\w+$`).MatchString(value) {
			t.Errorf("configs.secret.%s is a secret, and not where one is", name)
		}
	}
	if v.Notifications.Secret.Create || !v.Server.Ingress.Enabled {
		t.Errorf("secret %+v, ingress %+v", v.Notifications.Secret, v.Server.Ingress)
	}
}
