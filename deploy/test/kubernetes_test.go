package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// manifest is one Kubernetes object.
type manifest struct {
	schema.GroupVersionKind
	raw   map[string]any
	typed runtime.Object // nil for a custom resource
}

var strictDecoder = serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, serializer.SerializerOptions{Yaml: true, Strict: true})

// decode reads YAML documents into the types of Kubernetes, or holds them against
// the definition of the custom resource. An unknown field fails, and so does a
// kind that nobody has defined.
func decode(t *testing.T, text string) []manifest {
	t.Helper()
	known, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	var found []manifest
	reader := yamlreader.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		m.raw = object(t, document)
		if len(m.raw) == 0 {
			continue // a template that renders nothing
		}
		apiVersion, _ := m.raw["apiVersion"].(string)
		kind, _ := m.raw["kind"].(string)
		m.GroupVersionKind = schema.FromAPIVersionAndKind(apiVersion, kind)
		if d, ok := known[m.GroupVersionKind]; ok {
			d.check(t, m.raw)
		} else if m.typed, _, err = strictDecoder.Decode(bytes.TrimSpace(document), nil, nil); err != nil {
			t.Errorf("%s: %v", name(m.raw), err)
		}
		found = append(found, m)
	}
}

// object reads a YAML document as an API server does: no key twice, and whole
// numbers are int64.
func object(t *testing.T, document []byte) map[string]any {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict(document)
	var o map[string]any
	if err == nil {
		err = utiljson.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return o
}

// convert reads an object as a Go type; fields that the type lacks are left out.
func convert(t *testing.T, object map[string]any, into any) {
	t.Helper()
	text, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name(object), err)
	}
}

// pod returns the pod that an object makes.
func (m manifest) pod(t *testing.T) (corev1.PodTemplateSpec, bool) {
	t.Helper()
	if pod, ok := m.typed.(*corev1.Pod); ok {
		return corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}, true
	}
	var holder struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	switch m.Kind {
	case "CronJob":
		var cron struct {
			Spec struct{ JobTemplate map[string]any }
		}
		convert(t, m.raw, &cron)
		convert(t, cron.Spec.JobTemplate, &holder)
		return holder.Spec.Template, true
	case "Deployment", "StatefulSet", "Rollout", "Job":
		convert(t, m.raw, &holder)
		return holder.Spec.Template, true
	}
	return corev1.PodTemplateSpec{}, false
}

// checkRestricted holds a pod against the strictest of Kubernetes' Pod Security
// Standards, by the code of its admission controller, and against ours, which are
// stricter in three things.
func checkRestricted(t *testing.T, pod corev1.PodTemplateSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
	if !result.Allowed {
		t.Errorf("the restricted Pod Security Standard forbids it: %s", result.ForbiddenDetail())
	}
	if mount := pod.Spec.AutomountServiceAccountToken; mount == nil || *mount {
		t.Error("the pod has a token for the Kubernetes API, which it never asks")
	}
	for _, container := range pod.Spec.Containers {
		if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			t.Errorf("container %s can write its root file system", container.Name)
		}
		if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
			t.Errorf("container %s has no memory request or limit", container.Name)
		}
	}
}
