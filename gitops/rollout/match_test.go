package rollout

import (
	"encoding/json"
	"slices"
	"testing"
)

// applicationOf reads the spec of an Application.
func applicationOf(t testing.TB, spec string) (a Application) {
	if err := json.Unmarshal([]byte(`{"spec":`+spec+`}`), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestMatch(t *testing.T) {
	const repo = "https://github.com/myshop/manifests.git"
	source := func(fields string) string {
		return `{"source":{"repoURL":"` + repo + `","targetRevision":"main",` + fields + `}}`
	}
	for _, test := range []struct {
		name, spec, file string
		want             []int
		near             string
	}{
		{"values of a chart", source(`"path":"charts/api","helm":{"valueFiles":["values-prod.yaml"]}`), "charts/api/values-prod.yaml", []int{0}, ""},
		{"values of another environment", source(`"path":"charts/api","helm":{"valueFiles":["values-prod.yaml"]}`), "charts/api/values-dev.yaml", nil, ""},
		{"values that every chart has", source(`"path":"charts/api","helm":{"valueFiles":["values-prod.yaml"]}`), "charts/api/values.yaml", []int{0}, ""},
		{"a template", source(`"path":"charts/api","helm":{}`), "charts/api/templates/deployment.yaml", []int{0}, ""},
		{"values beside the chart", source(`"path":"charts/api","helm":{"valueFiles":["../../env/prod/api.yaml"]}`), "env/prod/api.yaml", []int{0}, ""},
		{"values from the root", source(`"path":"charts/api","helm":{"valueFiles":["/env/prod/api.yaml"]}`), "env/prod/api.yaml", []int{0}, ""},
		{"values above the root", source(`"path":"charts","helm":{"valueFiles":["../../../../env/api.yaml"]}`), "env/api.yaml", []int{0}, ""},
		{"values by a pattern", source(`"path":"charts/api","helm":{"valueFiles":["envs/*.yaml"]}`), "charts/api/envs/prod.yaml", []int{0}, ""},
		{"values of a server", source(`"path":"charts/api","helm":{"valueFiles":["https://example.org/env/prod.yaml"]}`), "charts/api/https:/example.org/env/prod.yaml", nil, ""},
		{"a file as a parameter", source(`"path":"charts/api","helm":{"fileParameters":[{"name":"tag","path":"../tag.txt"}]}`), "charts/tag.txt", []int{0}, ""},
		{"below a path", source(`"path":"apps/api/overlays/prod"`), "apps/api/overlays/prod/kustomization.yaml", []int{0}, ""},
		{"deep below a path", source(`"path":"./apps/api/"`), "apps/api/overlays/prod/kustomization.yaml", []int{0}, ""},
		{"a path that begins alike", source(`"path":"apps/api"`), "apps/api-admin/kustomization.yaml", nil, ""},
		{"the whole repository", source(`"path":"."`), "deployment.yaml", []int{0}, ""},
		{"a directory", source(`"path":"apps/api","directory":{}`), "apps/api/deployment.yaml", []int{0}, ""},
		{"below a directory", source(`"path":"apps","directory":{}`), "apps/api/deployment.yaml", nil, ""},
		{"below a directory that recurses", source(`"path":"apps","directory":{"recurse":true}`), "apps/api/deployment.yaml", []int{0}, ""},
		{"the default branch", `{"source":{"repoURL":"` + repo + `","path":"a"}}`, "a/x.yaml", []int{0}, ""},
		{"HEAD", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"HEAD"}}`, "a/x.yaml", []int{0}, ""},
		{"the branch by its whole name", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"refs/heads/main"}}`, "a/x.yaml", []int{0}, ""},
		{"a commit", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"` + oldRevision + `"}}`, "a/x.yaml", nil, "pinned to 1111111"},
		{"a tag", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"v1.2"}}`, "a/x.yaml", nil, "pinned to v1.2"},
		{"a tag by its whole name", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"refs/tags/stable"}}`, "a/x.yaml", nil, "pinned to stable"},
		{"a range of tags", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":">=1.2"}}`, "a/x.yaml", nil, "pinned to >=1.2"},
		{"another branch", `{"source":{"repoURL":"` + repo + `","path":"a","targetRevision":"develop"}}`, "a/x.yaml", nil, "follows develop, not main"},
		{"a commit, and other files", `{"source":{"repoURL":"` + repo + `","path":"b","targetRevision":"v1.2"}}`, "a/x.yaml", nil, ""},
		{"a chart of a registry", `{"source":{"repoURL":"` + repo + `","chart":"api","targetRevision":"1.2"}}`, "a/x.yaml", nil, ""},
		{"another repository", `{"source":{"repoURL":"https://github.com/myshop/other","path":"a"}}`, "a/x.yaml", nil, ""},
		{"values of a second source", `{"sources":[{"repoURL":"https://charts.example","chart":"api","targetRevision":"1.2","helm":{"valueFiles":["$values/prod/api.yaml"]}},
			{"repoURL":"` + repo + `","targetRevision":"main","ref":"values"}]}`, "prod/api.yaml", []int{1}, ""},
		{"other values of a second source", `{"sources":[{"repoURL":"https://charts.example","chart":"api","targetRevision":"1.2","helm":{"valueFiles":["$values/prod/api.yaml"]}},
			{"repoURL":"` + repo + `","targetRevision":"main","ref":"values"}]}`, "dev/api.yaml", nil, ""},
		{"values of a second source at a tag", `{"sources":[{"repoURL":"https://charts.example","chart":"api","helm":{"valueFiles":["$values/prod/api.yaml"]}},
			{"repoURL":"` + repo + `","targetRevision":"v3","ref":"values"}]}`, "prod/api.yaml", nil, "pinned to v3"},
		{"two sources of one repository", `{"sources":[{"repoURL":"` + repo + `","path":"charts/api","helm":{"valueFiles":["$values/prod/api.yaml"]}},
			{"repoURL":"git@github.com:myshop/manifests","ref":"values"},{"repoURL":"` + repo + `","path":"prod"}]}`, "prod/api.yaml", []int{1, 2}, ""},
		{"one at the branch, one at a tag", `{"sources":[{"repoURL":"` + repo + `","path":"prod"},{"repoURL":"` + repo + `","path":"prod","targetRevision":"v1"}]}`, "prod/api.yaml", []int{0}, ""},
		{"hydrated", `{"sourceHydrator":{"drySource":{"repoURL":"` + repo + `","path":"a","targetRevision":"main"}}}`, "a/x.yaml", nil,
			"what is synced is rendered to another branch by the source hydrator, which is not followed"},
		{"nothing", `{}`, "a/x.yaml", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, near := Match(applicationOf(t, test.spec), Manifest{Repository: "ssh://git@github.com:22/MyShop/manifests", Branch: "main", File: test.file})
			if !slices.Equal(got, test.want) || near != test.near {
				t.Errorf("Match = %v, %q, want %v, %q", got, near, test.want, test.near)
			}
		})
	}
}

// The Applications that were recorded are found, and the one that makes others is not.
func TestMatchOfRecorded(t *testing.T) {
	const manifests, values = "ssh://git@127.0.0.1:2222/myshop/myshop-manifests", "http://127.0.0.1/myshop/values"
	for _, test := range []struct {
		recording, file, repository, written string
		want                                 []int
		near                                 string
	}{
		{"01-autosync", "01", manifests, "charts/myshop-api/values-dev.yaml", []int{0}, ""},
		{"01-autosync", "01", manifests, "charts/myshop-api/values-prod.yaml", nil, ""},
		{"14-multi-source", "01", values, "multi/values-dev.yaml", []int{1}, ""},
		{"14-multi-source", "01", manifests, "charts/myshop-api/values-dev.yaml", []int{0}, ""},
		{"17-rollout-aborted", "01", manifests, "apps/canary/rollout.yaml", []int{0}, ""},
		{"25-app-of-apps-and-set", "01", manifests, "apps/root/child-dev.yaml", nil, ""},
		{"25-app-of-apps-and-set", "02", manifests, "charts/myshop-api/values-dev.yaml", []int{0}, ""},
		{"25-app-of-apps-and-set", "04", manifests, "charts/myshop-api/values-dev.yaml", []int{0}, ""},
		{"33-automated-disabled", "04", manifests, "apps/paus/deployment.yaml", nil, "pinned to c51222d"},
	} {
		t.Run(test.recording+" "+test.written, func(t *testing.T) {
			got, near := Match(body(t, test.recording, test.file), Manifest{Repository: test.repository, Branch: "main", File: test.written})
			if !slices.Equal(got, test.want) || near != test.near {
				t.Errorf("Match = %v, %q, want %v, %q", got, near, test.want, test.near)
			}
		})
	}
}

// What Argo CD found out about a source decides where the spec does not say it.
func TestMatchByTheKindThatArgoCDFound(t *testing.T) {
	a := applicationOf(t, `{"sources":[{"repoURL":"https://git.example/m","path":"a"},{"repoURL":"https://git.example/m","path":"a"},{"repoURL":"https://git.example/m","path":"a"}]}`)
	a.Status.SourceTypes = []string{"Helm", "Directory", "Kustomize"}
	for file, want := range map[string][]int{"a/values-prod.yaml": {1, 2}, "a/values.yaml": {0, 1, 2}, "a/overlays/prod/kustomization.yaml": {2}} {
		if got, _ := Match(a, Manifest{Repository: "https://git.example/m", Branch: "main", File: file}); !slices.Equal(got, want) {
			t.Errorf("%s is read by %v, want %v", file, got, want)
		}
	}
}

func TestRepositoriesThatAreOne(t *testing.T) {
	one := []string{
		"https://github.com/myshop/manifests", "https://github.com/myshop/manifests.git", "https://GitHub.com/MyShop/manifests/",
		"https://user:secret@github.com/myshop/manifests.git", "http://github.com:8080/myshop/manifests", "ssh://git@github.com/myshop/manifests.git",
		"ssh://git@github.com:22/myshop/manifests", "ssh://git@ssh.github.com:443/myshop/manifests.git", "git@github.com:myshop/manifests.git",
		"github.com:myshop/manifests", "git@github.com:/myshop/manifests", " https://github.com/myshop/manifests ", "git@ssh.github.com:myshop/manifests.git",
	}
	others := []string{"", "https://github.com/myshop/manifests-2", "https://gitlab.com/myshop/manifests", "https://github.com/manifests", "oci://registry.example/myshop/manifests", "myshop/manifests", ":"}
	for _, a := range one {
		for _, b := range one {
			if !sameRepository(a, b) {
				t.Errorf("%s is not %s: %q, %q", a, b, repositoryName(a), repositoryName(b))
			}
		}
		for _, b := range others {
			if sameRepository(a, b) {
				t.Errorf("%s is %s", a, b)
			}
		}
	}
	if sameRepository("", "") {
		t.Error("no repository is one")
	}
}
