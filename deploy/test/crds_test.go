package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// published are the modules that have the resource definitions of others. They
// are not imported: only their files are read, so go.mod can't pin them and the
// sums here do.
var published = []struct{ module, sum, files string }{
	{"github.com/argoproj/argo-cd/v3@v3.5.7", "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=", "manifests/crds/app*-crd.yaml"},
	{"github.com/argoproj/argo-rollouts@v1.10.1", "h1:6oyVPGiHHxu3ixkT6mngemh88HLPDoTX1IwO6KNR1Y4=", "manifests/crds/*-crd.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=", "config/crd/standard/*_httproutes.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=", "example/prometheus-operator-crd/*s.yaml"},
}

// moduleDir downloads a module, unless it is in the module cache, and returns
// where it lies.
func moduleDir(version, sum string) (string, error) {
	command := exec.Command("go", "mod", "download", "-json", version)
	command.Dir = os.TempDir() // not in this module, whose go.sum it would write
	out, err := command.Output()
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Error != "" {
		return "", fmt.Errorf("downloading %s: %v %s", version, err, module.Error)
	}
	if module.Sum != sum {
		return "", fmt.Errorf("%s has the sum %s, not %s", version, module.Sum, sum)
	}
	return module.Dir, nil
}

// definition is a custom resource's, as an API server uses it.
type definition struct {
	validator  validation.SchemaValidator
	structural *structuralschema.Structural
}

// definitions are the published ones, read once.
var definitions = sync.OnceValues(func() (map[schema.GroupVersionKind]definition, error) {
	found := make(map[schema.GroupVersionKind]definition)
	for _, p := range published {
		dir, err := moduleDir(p.module, p.sum)
		if err != nil {
			return nil, err
		}
		files, err := filepath.Glob(filepath.Join(dir, p.files))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("%s has no %s: %w", p.module, p.files, err)
		}
		for _, file := range files {
			if err := addDefinitions(found, file); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return found, nil
})

func addDefinitions(into map[schema.GroupVersionKind]definition, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd v1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		var internal apiextensions.JSONSchemaProps
		if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
			return err
		}
		var d definition
		if d.validator, _, err = validation.NewSchemaValidator(&internal); err != nil {
			return err
		}
		if d.structural, err = structuralschema.NewStructural(&internal); err != nil {
			return err
		}
		into[schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = d
	}
	return nil
}

// check reports what an API server would refuse, and every field that it would
// drop without a word.
func (d definition) check(t *testing.T, object map[string]any) {
	t.Helper()
	defaulting.Default(object, d.structural)
	for _, unknown := range pruning.PruneWithOptions(object, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		t.Errorf("%s: %s is not a field", name(object), unknown)
	}
	problems := validation.ValidateCustomResource(nil, object, d.validator)
	if rules := cel.NewValidator(d.structural, true, celconfig.PerCallLimit); rules != nil {
		broken, _ := rules.Validate(context.Background(), field.NewPath(""), d.structural, object, nil, celconfig.RuntimeCELCostBudget)
		problems = append(problems, broken...)
	}
	for _, problem := range problems {
		t.Errorf("%s: %v", name(object), problem)
	}
}

// name says which object it is.
func name(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	return strings.TrimSpace(fmt.Sprintf("%v %v", object["kind"], metadata["name"]))
}
