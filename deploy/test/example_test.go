package test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const example = "../manifests-example"

// environments are the example's.
var environments = []string{"dev", "staging", "prod"}

// TestExampleRenders renders the app's chart as Argo CD would, and sees that the
// tag which tallyman writes is the one that runs.
func TestExampleRenders(t *testing.T) {
	for _, environment := range environments {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			values := filepath.Join(example, "charts/myshop-api/values-"+environment+".yaml")
			run(t, tool(t, "helm", "lint", "--strict", "--kube-version", kubeVersion, "--values", values, filepath.Join(example, "charts/myshop-api")))
			manifests := decode(t, render(t, filepath.Join(example, "charts/myshop-api"), values))
			var v struct{ Image struct{ Tag string } }
			if err := yaml.Unmarshal([]byte(read(t, strings.TrimPrefix(values, "../"))), &v); err != nil {
				t.Fatal(err)
			}
			deployments := objects(manifests, "Deployment")
			if len(deployments) != 1 {
				t.Fatalf("it has %d Deployments", len(deployments))
			}
			pod, _ := deployments[0].pod(t)
			checkRestricted(t, pod)
			checkSelected(t, pod, manifests)
			if image := pod.Spec.Containers[0].Image; !strings.HasSuffix(image, "/myshop-api:"+v.Image.Tag) {
				t.Errorf("the values say %s, and the image is %s", v.Image.Tag, image)
			}
		})
	}
}

// TestApplications holds the Applications against Argo CD's definition, and
// against the files that they name.
func TestApplications(t *testing.T) {
	seen := make(map[string]bool)
	for _, file := range glob(t, "manifests-example/applications/*.yaml") {
		for _, m := range decode(t, read(t, file)) {
			application := checkApplication(t, m)
			environment := application.Metadata.Labels["environment"]
			seen[environment] = true
			if automated := application.Spec.SyncPolicy.Automated; (automated == nil) != (environment == "prod") {
				t.Errorf("%s: automated is %v", file, automated)
			} else if automated != nil && (!automated.Prune || !automated.SelfHeal) {
				t.Errorf("%s: automated is %+v", file, automated)
			}
			if application.Spec.SyncPolicy.Retry.Limit == 0 {
				t.Errorf("%s: a sync is not tried again", file)
			}
			if !application.Spec.SyncPolicy.Retry.Refresh {
				t.Errorf("%s: what corrects a failed sync waits until that is given up", file)
			}
			for _, values := range application.Spec.Source.Helm.ValueFiles {
				read(t, path.Join("manifests-example", application.Spec.Source.Path, values))
			}
		}
	}
	for _, environment := range environments {
		if !seen[environment] {
			t.Errorf("no Application is of %s", environment)
		}
	}
}

// application is what is asked of an Argo CD Application; its definition has
// checked the rest.
type application struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Spec applicationSpec
}

type applicationSpec struct {
	Project string
	Source  struct {
		RepoURL, TargetRevision, Path string
		Helm                          struct {
			ReleaseName string
			ValueFiles  []string
		}
		Directory struct{ Recurse bool }
	}
	Destination struct{ Namespace, Server string }
	SyncPolicy  struct {
		Automated *struct{ Prune, SelfHeal bool }
		Retry     struct {
			Limit   int
			Refresh bool
		}

		SyncOptions []string
	}
}

func checkApplication(t *testing.T, m manifest) application {
	t.Helper()
	if m.Kind != "Application" {
		t.Fatalf("%s is no Application", name(m.raw))
	}
	var a application
	convert(t, m.raw, &a)
	if a.Spec.Source.RepoURL != "https://github.com/myshop/myshop-manifests.git" || a.Spec.Source.TargetRevision != "main" {
		t.Errorf("%s reads %s at %s", a.Metadata.Name, a.Spec.Source.RepoURL, a.Spec.Source.TargetRevision)
	}
	return a
}
