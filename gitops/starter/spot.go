package starter

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// spot is a place in a file that holds the tag of an image.
type spot struct {
	path   string
	kind   string // of the document; empty where it says none
	name   string // of the document's resource
	inside []step // the key of the text that it is in; nil in most files
	key    []step // of the tag, or of the whole reference
	value  string // the form of what is there

	repository    string // the image's; empty where this file does not say
	repositoryKey []step // of what says it; nil where nothing does
	tag           string // empty where the file leaves it to another
	digest        bool   // a digest stands beside it
}

// What a value is made of.
const (
	tagValue       = "{tag}"
	referenceValue = "{repository}:{tag}"
)

// source is a file while it is looked at.
type source struct {
	path       string
	kind, name string
	inside     []step
	spots      []spot
	parameters map[string]string // of the list that is looked at, by their names
	templates  map[string]string // images that a template of an ApplicationSet names, by the parameter's name
}

// findSpots finds where images are in a file. The error says why the file cannot be read.
func findSpots(path string, text []byte) (*source, error) {
	document, err := values.Read(text, values.Limits{Bytes: MaxFileBytes})
	if err != nil {
		return nil, err
	}
	f := &source{path: path, templates: make(map[string]string)}
	trees := document.Trees()
	for _, tree := range trees {
		root, ok := tree.(map[string]any)
		if !ok {
			continue
		}
		f.kind, f.name = textOf(root["kind"]), ""
		if metadata, ok := root["metadata"].(map[string]any); ok {
			f.name = textOf(metadata["name"])
		}
		if slices.Contains(otherKinds, f.kind) {
			continue
		}
		f.walk(root, f.documentStep(trees))
	}
	return f, nil
}

// otherKinds are resources whose images are tools', and no app's.
var otherKinds = []string{
	"CustomResourceDefinition", "Secret", "ConfigMap", "Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "Pipeline", "PipelineRun", "Task", "TaskRun",
}

// documentStep selects the document by what it is, where there are others.
func (f *source) documentStep(trees []any) []step {
	if len(trees) < 2 || f.kind == "" {
		return nil
	}
	same := 0
	for _, tree := range trees {
		if root, ok := tree.(map[string]any); ok && root["kind"] == f.kind {
			same++
		}
	}
	fields := []field{{"kind", f.kind}}
	if same > 1 && selectable(f.name) {
		fields = append(fields, field{"metadata.name", f.name})
	}
	return []step{{fields: fields}}
}

// textOf is the text of a scalar; empty for what is none.
func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func (f *source) walk(v any, at []step) {
	if len(at) > 30 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		f.lookAt(v, at)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if selectable(key) {
				f.walk(v[key], with(at, step{name: key}))
			}
		}
	case []any:
		f.walkList(v, at)
	case string:
		f.walkText(v, at)
	}
}

// walkList looks at the items that can be told from the others.
func (f *source) walkList(list []any, at []step) {
	outer := f.parameters
	defer func() { f.parameters = outer }()
	f.parameters = make(map[string]string)
	seen := make(map[string]int)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			seen[selection(fieldsOf(m))]++
			f.parameters[textOf(m["name"])] = textOf(m["value"])
		}
	}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		fields := fieldsOf(m)
		if len(fields) == 0 && len(list) > 1 && !onlyLists(m) || len(fields) > 0 && seen[selection(fields)] > 1 {
			continue
		}
		f.walk(m, with(at, step{list: true, fields: fields}))
	}
}

// itemNames and itemEnvironments are the fields by which an item of a list is known.
var (
	itemNames        = []string{"app", "appName", "service", "component", "name"}
	itemEnvironments = []string{"env", "environment", "stage", "cluster"}
)

func fieldsOf(item map[string]any) (fields []field) {
	for _, names := range [][]string{itemNames, itemEnvironments} {
		for _, name := range names {
			if v := textOf(item[name]); selectable(v) {
				fields = append(fields, field{name, v})
				break
			}
		}
	}
	return fields
}

// onlyLists reports whether an item is a generator, whose own list has the names.
func onlyLists(item map[string]any) bool {
	return item["list"] != nil || item["matrix"] != nil || item["merge"] != nil
}

// helmValues are keys whose text is the values of a chart.
var helmValues = regexp.MustCompile(`(?i)^(values|valuesyaml)$`)

// walkText looks into a block of YAML, such as an Application's values.
func (f *source) walkText(text string, at []step) {
	if f.inside != nil || !strings.Contains(text, "\n") || len(at) == 0 || !helmValues.MatchString(at[len(at)-1].name) {
		return
	}
	document, err := values.Read([]byte(text), values.Limits{Bytes: MaxFileBytes})
	if err != nil {
		return
	}
	f.inside = at
	defer func() { f.inside = nil }()
	for _, tree := range document.Trees() {
		f.walk(tree, nil)
	}
}

var (
	imageWord    = regexp.MustCompile(`(?i)image`)
	tagParameter = regexp.MustCompile(`(?i)(^|\.)(image\.?tag|tag)$`)
	imageTagKey  = regexp.MustCompile(`^(imageTag|image_tag|imageVersion)$`)
	repositories = []string{"repository", "name", "newName", "image"}
)

// lookAt finds the images that a map is of.
func (f *source) lookAt(m map[string]any, at []step) {
	if textOf(m["newTag"]) != "" || len(at) > 0 && at[len(at)-1].list && len(at) > 1 && at[len(at)-2].name == "images" && textOf(m["digest"]) != "" {
		f.kustomize(m, at)
		return
	}
	if name := textOf(m["name"]); tagParameter.MatchString(name) && m["value"] != nil {
		s := spot{key: with(at, step{name: "value"}), value: tagValue, tag: textOf(m["value"])}
		if repository := f.parameters[strings.TrimSuffix(name, "tag")+"repository"]; isRepository(repository) {
			s.repository = repository
		}
		f.add(s)
		return
	} else if repository := textOf(m["value"]); strings.HasSuffix(name, "repository") {
		f.templates[name] = repository
	}
	if repository, tag, ok := splitReference(textOf(m["image"])); ok {
		key := with(at, step{name: "image"})
		f.add(spot{key: key, value: referenceValue, repository: repository, tag: tag, repositoryKey: key})
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if imageTagKey.MatchString(key) {
			f.add(spot{key: with(at, step{name: key}), value: tagValue, tag: textOf(m[key])})
		}
	}
	f.helm(m, at)
}

// helm finds a tag as charts have it: in a map that is called image, or that names one.
func (f *source) helm(m map[string]any, at []step) {
	repository, from := "", ""
	for _, key := range repositories {
		if v := textOf(m[key]); isRepository(v) {
			repository, from = v, key
			break
		}
	}
	named := len(at) == 0 || imageWord.MatchString(at[len(at)-1].name) || len(at[len(at)-1].fields) > 0 || from == "repository"
	_, has := m["tag"]
	tag := textOf(m["tag"])
	if !named || tag == "" && from != "repository" || has && tag != "" && !isTag(tag) {
		return
	}
	if len(at) > 0 && len(at[len(at)-1].fields) > 0 && from == "name" { // the item's name is an app's
		repository, from = "", ""
	}
	s := spot{key: with(at, step{name: "tag"}), value: tagValue, repository: repository, tag: tag, digest: textOf(m["digest"]) != ""}
	if registry := textOf(m["registry"]); registry != "" && repository != "" && !strings.Contains(repository, ".") {
		s.repository = strings.TrimSuffix(registry, "/") + "/" + repository
	} else if from != "" {
		s.repositoryKey = with(at, step{name: from})
	}
	f.add(s)
}

// kustomize finds the tag of an entry of a kustomization's images.
func (f *source) kustomize(m map[string]any, at []step) {
	s := spot{key: with(at, step{name: "newTag"}), value: tagValue, tag: textOf(m["newTag"]), digest: textOf(m["digest"]) != ""}
	for _, key := range []string{"newName", "name"} {
		if v := textOf(m[key]); isRepository(v) {
			s.repository, s.repositoryKey = v, with(at, step{name: key})
			break
		}
	}
	f.add(s)
}

// add keeps a spot whose tag is one, or is left to another file.
func (f *source) add(s spot) {
	if s.tag != "" && !isTag(s.tag) || strings.Contains(s.repository, "{") {
		return
	}
	s.path, s.kind, s.name, s.inside = f.path, f.kind, f.name, f.inside
	f.spots = append(f.spots, s)
}
